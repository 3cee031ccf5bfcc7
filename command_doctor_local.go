package caddyqwen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// configuration loads the configuration.
func (d *doctor) configuration(config *configFlags) finding {
	h, err := config.load(nil)
	if err != nil {
		return wrong(sentence(err.Error()), "correct what is named there; if variables of the service are missing here, name a file of them with --envfile. `caddy validate` tells about the rest of the file")
	}
	d.h = h
	from := "no file, so all is by default"
	if h.from != "" {
		from = h.from
	}
	text := fmt.Sprintf("%s; %s; %s", from, counted(len(h.accounts), "account"), h.admitted())
	warnings := literalSecretWarnings(h.Handler)
	if text := h.notice(); text != "" {
		warnings = append(warnings, strings.TrimSuffix(text, "."))
	}
	if h.Auth == authOff {
		return doubtful(text, "let only listeners have this that nobody else can reach, or remove `auth off`")
	}
	if len(warnings) > 0 {
		return doubtful(text, strings.Join(warnings, "; "))
	}
	return fine("%s", text)
}

// admitted tells who may use the API.
func (h *Handler) admitted() string {
	switch {
	case h.Auth == authOff:
		return "everybody may use the API"
	case h.Auth == authCaddy:
		return "users whom Caddy knows may use the API"
	case h.callers.generated != nil:
		return "no API key is configured, so that the generated one counts, which `caddy qwen key` prints"
	}
	return counted(len(h.callers.digests), "API key") + " may use the API"
}

// accountFile looks at the file of an account.
func (d *doctor) accountFile(a *account) finding {
	path := a.source.path
	if path == "" {
		return skipped("the credential is in the configuration or in the environment")
	}
	_, info, err := readAccountFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wrong("there is no credential: QWEN_COOKIES and QWEN_AUTH_TOKEN are empty, and "+path+" does not exist", remedyCredential)
	case err != nil:
		return wrong(sentence(err.Error()), "run the command as the user that runs the server, or "+remedyCredential)
	case tooOpen(info):
		return doubtful(fmt.Sprintf("%s has the permissions %v: others may read it", path, info.Mode().Perm()), "run `chmod 600 "+path+"`")
	}
	return fine("%s", path)
}

// sessions looks at the file of the session store.
func (d *doctor) sessions() finding {
	if d.h.sessionStore == nil {
		return skipped("sessions are off")
	}
	store, ok := d.h.sessionStore.(*SQLiteSessions)
	if !ok {
		return skipped("conversations are kept by %T, which this command does not know", d.h.sessionStore)
	}
	info, err := os.Stat(store.path)
	if errors.Is(err, fs.ErrNotExist) {
		return writableBelow(filepath.Dir(store.path))
	}
	if err != nil {
		return wrong(sentence(err.Error()), "run the command as the user that runs the server")
	}
	opened, err := sqlite.OpenFile(store.path)
	if err != nil {
		return wrong(sentence(explainFile(store.path, err).Error()), "until it can be used, conversations go on in new chats, with their history as text")
	}
	defer opened.Close()
	stats, err := opened.Stats(d.ctx)
	if err != nil {
		return wrong(sentence(explainStore(store.path, err).Error()), "until it can be used, conversations go on in new chats, with their history as text")
	}
	text := fmt.Sprintf("%s, %s with %s", store.path, humanize.Bytes(uint64(stats.Bytes)), counted(stats.Chats, "chat"))
	if tooOpen(info) {
		return doubtful(fmt.Sprintf("%s; it has the permissions %v: others may read it", text, info.Mode().Perm()), "run `chmod 600 "+store.path+"`")
	}
	return fine("%s", text)
}

// writableBelow tries whether files can be made in a directory, which need not exist
// yet.
func writableBelow(dir string) finding {
	there := dir
	for _, err := os.Stat(there); err != nil && filepath.Dir(there) != there; _, err = os.Stat(there) {
		there = filepath.Dir(there)
	}
	tmp, err := os.CreateTemp(there, ".caddy-qwen-doctor-*")
	if err != nil {
		return wrong("there is no file yet, and "+there+" cannot be written to: "+cause(err), "run the command as the user that runs the server; if it is that user, give it the directory, and make room on the disk")
	}
	tmp.Close()
	os.Remove(tmp.Name())
	return fine("there is no file yet; it will be in %s", dir)
}

// cause is the reason in an error of the file system, without the path.
func cause(err error) string {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}

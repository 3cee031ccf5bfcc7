package caddyqwen

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("qwen", parseCaddyfile)
	// After authentication, compression and handle, ahead of everything that
	// answers all requests.
	httpcaddyfile.RegisterDirectiveOrder("qwen", httpcaddyfile.Before, "respond")
}

// parseCaddyfile makes a handler of the qwen directive.
func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return handler, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	qwen [<matcher>] {
//		account [<label>] {
//			cookies <cookie_header>
//			token   <access_token>
//			header  <name> <value>
//			file    <path>
//		}
//		api_key [<name>] <key>...
//		auth    keys|caddy|off
//
//		base_url         <url>
//		auth_base_url    <url>
//		frontend_version <version>
//		transport        <module> {
//			...
//		}
//
//		model_alias   <name> <model>
//		default_model <model>
//		sessions      sqlite [<path>] {
//			ttl      <duration>
//			max_rows <count>
//		}
//		sessions      off
//		chats         keep|temporary
//		chats         delete <duration>
//
//		cors          <origin>...
//		public_models on|off
//
//		storage_endpoint <url>
//		sts_endpoint     on|off
//		vision_model     <model>
//		fetch_allow      <address>...
//		long_prompts     upload|refuse
//		tools            emulated|native
//
//		heartbeat       <duration>
//		first_byte_hold <duration>
//		idle_timeout    <duration>
//		max_duration    <duration>
//		drain_timeout   <duration>
//
//		max_body        <size>
//		max_json_tokens <count>
//		max_json_depth  <count>
//		max_prompt      <size>
//		max_frame       <size>
//		max_answer      <size>
//
//		max_image    <size>
//		max_video    <size>
//		max_audio    <size>
//		max_document <size>
//		max_spool    <size>
//
//		max_streams             <count>
//		max_streams_per_key     <count>
//		max_streams_per_account <count>
//		queue_length            <count>
//		queue_wait              <duration>
//	}
//
// All of it is optional; the meaning and the default of each value are those of
// the [Handler] field of the same name. The subdirectives account, api_key,
// model_alias and header (in account) may be repeated, all others may not. An
// account needs cookies or a token, or else a file; several accounts need labels.
//
// Of several values after api_key, the first is the name of the caller, unless
// it starts with `sk-` or `{` or `[`: then all are keys. A name consists of 1 to
// 32 letters, digits, `-` and `_`; so does the label of an account. Cookies, and
// all values with spaces, have to be in quotation marks or backquotes.
//
// A duration is a number with a unit, such as `90s`, `2m` or `1h30m`. A size is
// a number of bytes with an optional unit: `20MiB` is 20·1024·1024 bytes, `20MB`
// is 20,000,000. Durations, sizes and counts must be greater than zero.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the directive
	if d.NextArg() {
		return d.Err("qwen takes no arguments besides a matcher, which starts with /, * or @")
	}
	return parseBlock(d, h.subdirectives())
}

// subdirectives returns what may stand in the block of the qwen directive.
func (h *Handler) subdirectives() map[string]subdirective {
	return map[string]subdirective{
		"account":                 {parse: h.parseAccount, repeat: true},
		"api_key":                 {parse: h.parseAPIKey, repeat: true},
		"auth":                    oneOf(&h.Auth, authKeys, authCaddy, authOff),
		"base_url":                {parse: h.parseBaseURL},
		"auth_base_url":           {parse: h.parseAuthBaseURL},
		"frontend_version":        word(&h.FrontendVersion),
		"transport":               {parse: h.parseTransport},
		"model_alias":             {parse: h.parseModelAlias, repeat: true},
		"default_model":           word(&h.DefaultModel),
		"sessions":                {parse: h.parseSessions},
		"chats":                   {parse: h.parseChats},
		"cors":                    {parse: h.parseCORS},
		"public_models":           onOff(&h.PublicModels),
		"storage_endpoint":        {parse: h.parseStorageEndpoint},
		"vision_model":            word(&h.VisionModel),
		"fetch_allow":             {parse: h.parseFetchAllow},
		"sts_endpoint":            onOff(&h.STSEndpoint),
		"long_prompts":            oneOf(&h.LongPrompts, longUpload, longRefuse),
		"tools":                   oneOf(&h.Tools, toolsEmulated, toolsNative),
		"max_image":               size(&h.MaxImage),
		"max_video":               size(&h.MaxVideo),
		"max_audio":               size(&h.MaxAudio),
		"max_document":            size(&h.MaxDocument),
		"max_spool":               size(&h.MaxSpool),
		"heartbeat":               duration(&h.Heartbeat),
		"first_byte_hold":         duration(&h.FirstByteHold),
		"idle_timeout":            duration(&h.IdleTimeout),
		"max_duration":            duration(&h.MaxDuration),
		"drain_timeout":           duration(&h.DrainTimeout),
		"max_body":                size(&h.MaxBody),
		"max_json_tokens":         count(&h.MaxJSONTokens),
		"max_json_depth":          count(&h.MaxJSONDepth),
		"max_prompt":              size(&h.MaxPrompt),
		"max_frame":               size(&h.MaxFrame),
		"max_answer":              size(&h.MaxAnswer),
		"max_streams":             count(&h.MaxStreams),
		"max_streams_per_key":     count(&h.MaxStreamsPerKey),
		"max_streams_per_account": count(&h.MaxStreamsPerAccount),
		"queue_length":            count(&h.QueueLength),
		"queue_wait":              duration(&h.QueueWait),
	}
}

// parseAccount parses `account [<label>] { … }`.
func (h *Handler) parseAccount(d *caddyfile.Dispenser) error {
	a := new(Account)
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Err("account takes at most one argument, its label; cookies and token are set in its block")
	}
	if len(args) == 1 {
		if a.Label = args[0]; !isName(a.Label) {
			// A cookie may have slipped in, so it isn't shown.
			return d.Errf("account: the label must consist of 1 to %d letters, digits, - and _", maxName)
		}
	}
	err := parseBlock(d, map[string]subdirective{
		"cookies": secret(&a.Cookies),
		"token":   secret(&a.Token),
		"header":  {parse: a.parseHeader, repeat: true},
		"file":    file(&a.File),
	})
	if err != nil {
		return err
	}
	switch {
	case a.File != "" && (a.Cookies != "" || a.Token != "" || len(a.Headers) > 0):
		return d.Err("account: a file holds all of it, so that cookies, token and header cannot stand besides file")
	case a.File == "" && a.Cookies == "" && a.Token == "":
		return d.Err("account: it needs cookies or a token, or a file")
	}
	for i, other := range h.Accounts {
		if other.label() == a.label() {
			return d.Errf("account %d has the same label, %s; give each account a label of its own", i+1, a.label())
		}
	}
	h.Accounts = append(h.Accounts, a)
	return nil
}

// parseHeader parses `header <name> <value>`.
func (a *Account) parseHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("header takes a name and a value; put a value with spaces in quotation marks")
	}
	name := http.CanonicalHeaderKey(strings.TrimSuffix(args[0], ":"))
	if !isHeaderName(name) {
		return d.Errf("header %q: that is not the name of a header", args[0])
	}
	if _, ok := a.Headers[name]; ok {
		return d.Errf("header %s already specified", name)
	}
	if args[1] == "" {
		return d.Errf("header %s: the value is empty", name)
	}
	if a.Headers == nil {
		a.Headers = make(map[string]string)
	}
	a.Headers[name] = args[1]
	return nil
}

// parseAPIKey parses `api_key [<name>] <key>…`.
func (h *Handler) parseAPIKey(d *caddyfile.Dispenser) error {
	k := &APIKey{Keys: d.RemainingArgs()}
	if len(k.Keys) > 1 && !looksLikeKey(k.Keys[0]) {
		k.Name, k.Keys = k.Keys[0], k.Keys[1:]
	}
	where, err := describeKey(len(h.APIKeys), k)
	if err != nil {
		return d.WrapErr(err)
	}
	if slices.Contains(k.Keys, "") {
		return d.Errf("%s: a key is empty", where)
	}
	h.APIKeys = append(h.APIKeys, k)
	return nil
}

// looksLikeKey reports whether the first of several values is a key, or stands
// for one, rather than a name.
func looksLikeKey(s string) bool {
	return strings.HasPrefix(s, "sk-") || strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[")
}

// parseBaseURL parses `base_url <url>`.
func (h *Handler) parseBaseURL(d *caddyfile.Dispenser) error {
	if err := word(&h.BaseURL).parse(d); err != nil {
		return err
	}
	return wrap(d, "base_url", checkBaseURL(h.BaseURL))
}

// parseAuthBaseURL parses `auth_base_url <url>`.
func (h *Handler) parseAuthBaseURL(d *caddyfile.Dispenser) error {
	if err := word(&h.AuthBaseURL).parse(d); err != nil {
		return err
	}
	return wrap(d, "auth_base_url", checkBaseURL(h.AuthBaseURL))
}

// parseStorageEndpoint parses `storage_endpoint <url>`.
func (h *Handler) parseStorageEndpoint(d *caddyfile.Dispenser) error {
	if err := word(&h.StorageEndpoint).parse(d); err != nil {
		return err
	}
	return wrap(d, "storage_endpoint", checkBaseURL(h.StorageEndpoint))
}

// parseFetchAllow parses `fetch_allow <address>…`.
func (h *Handler) parseFetchAllow(d *caddyfile.Dispenser) error {
	if h.FetchAllow = d.RemainingArgs(); len(h.FetchAllow) == 0 {
		return d.Err("fetch_allow takes at least one address or network, such as 192.168.1.10 or 10.0.0.0/8")
	}
	_, err := parsePrefixes(h.FetchAllow)
	return wrap(d, "fetch_allow", err)
}

// parseTransport parses `transport <module> { … }`.
func (h *Handler) parseTransport(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("transport takes the name of a transport module, such as http")
	}
	name := d.Val()
	id := "http.reverse_proxy.transport." + name
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	if _, ok := module.(http.RoundTripper); !ok {
		return d.Errf("transport: %s (%T) cannot make HTTP requests", id, module)
	}
	h.TransportRaw = caddyconfig.JSONModuleObject(module, "protocol", name, nil)
	return nil
}

// parseModelAlias parses `model_alias <name> <model>`.
func (h *Handler) parseModelAlias(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[0] == "" || args[1] == "" {
		return d.Err("model_alias takes a name and the model that it stands for")
	}
	if _, ok := h.ModelAliases[args[0]]; ok {
		return d.Errf("model_alias %s already specified", args[0])
	}
	if h.ModelAliases == nil {
		h.ModelAliases = make(map[string]string)
	}
	h.ModelAliases[args[0]] = args[1]
	return nil
}

// parseCORS parses `cors <origin>…`.
func (h *Handler) parseCORS(d *caddyfile.Dispenser) error {
	if h.CORSOrigins = d.RemainingArgs(); len(h.CORSOrigins) == 0 {
		return d.Err("cors takes at least one origin, such as https://app.example.com, or * for all")
	}
	_, err := newCORS(h.CORSOrigins)
	return wrap(d, "cors", err)
}

// parseSessions parses `sessions <module> { … }`.
func (h *Handler) parseSessions(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("sessions takes sqlite or off")
	}
	name := d.Val()
	id := "http.handlers.qwen.sessions." + name
	if _, err := caddy.GetModule(id); err != nil {
		return d.Errf("sessions: %q is not known; it is sqlite, off, or the name of a module that was built in", name)
	}
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	h.SessionsRaw = caddyconfig.JSONModuleObject(module, "store", name, nil)
	return nil
}

// parseChats parses `chats keep|temporary` and `chats delete <after>`.
func (h *Handler) parseChats(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && (args[0] == chatsKeep || args[0] == chatsTemporary):
		h.Chats = args[0]
		return nil
	case len(args) == 2 && args[0] == chatsDelete:
		after, err := caddy.ParseDuration(args[1])
		if err != nil || after <= 0 {
			return d.Errf("chats delete: %q is not a duration greater than zero, such as 24h or 7d", args[1])
		}
		h.Chats, h.DeleteChatsAfter = chatsDelete, caddy.Duration(after)
		return nil
	}
	return d.Err("chats takes keep, temporary, or delete and the time without use after which chats are deleted, such as 7d")
}

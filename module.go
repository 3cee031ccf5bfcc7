// Package caddyqwen makes the owner's own account on chat.qwen.ai available
// as an OpenAI-compatible API inside Caddy.
package caddyqwen

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler is an HTTP handler that makes the owner's own account on
// chat.qwen.ai available as an OpenAI-compatible API: chats, models and files below
// `/v1`, upload grants at `/v2/files/getstsToken`, a page for people at `/`, `/health`,
// and the whole API described at `/docs` and `/openapi.yaml`. A conversation goes on in
// its own chat on the site; the headers `X-Qwen-Session` and `X-Qwen-Chat-Id` of an
// answer tell how and in which.
// Every other path goes to the next handler, except that unknown paths below `/v1` are answered with
// 404 in the OpenAI error format. Paths are compared after rewriting, so the
// handler works under any prefix with `handle_path`.
//
// Placeholders tell what a request was about once it has been answered, such as for
// `log_append`. Those of what does not apply are empty or 0. The access log has all of
// them anyway, in the field `qwen`.
//
// Placeholder | Description
// ------------|------------
// `{http.qwen.request_id}` | The header X-Request-Id of the answer
// `{http.qwen.caller}` | The name of the API key, or the user
// `{http.qwen.account}` | The label of the account, if one was needed
// `{http.qwen.route}` | The pattern of the path, or `other`
// `{http.qwen.model}` | The model that answered, cut to 256 bytes
// `{http.qwen.session}` | How the conversation went on: `new`, `continued`, `branched` or `replayed`
// `{http.qwen.chat_id}` | The chat on the site
// `{http.qwen.code}` | `ok`, the error code, or `client_gone`
// `{http.qwen.class}` | The class of the error
// `{http.qwen.tokens_input}` | Tokens of the prompt
// `{http.qwen.tokens_output}` | Tokens of the answer
// `{http.qwen.queue_ms}` | Time spent waiting for a place of the account, in milliseconds
// `{http.qwen.first_byte_ms}` | Time from the request to the header of the answer, in milliseconds
// `{http.qwen.first_token_ms}` | Time from the request to the first text, in milliseconds
// `{http.qwen.retries}` | How often something was tried again
//
// Metrics named `caddy_qwen_*` are among those of Caddy.
//
// Everything has a default: without configuration the account comes from
// `{env.QWEN_COOKIES}` and `{env.QWEN_AUTH_TOKEN}`, the API keys come from
// `{env.VALID_TOKENS}`, and if there are none, a random key is made, stored in
// Caddy's data directory and printed by `caddy qwen key`.
type Handler struct {
	// The owner's accounts. The first answers; another one takes its place only
	// while the site refuses its credential as expired, or cannot be reached with it,
	// never because of a limit. A conversation stays with its account as long as
	// that works. Default: an account whose cookies are `{env.QWEN_COOKIES}` and whose
	// token is `{env.QWEN_AUTH_TOKEN}`; if both are empty, the account that
	// `caddy qwen import` has written.
	Accounts []*Account `json:"accounts,omitempty"`

	// The keys that clients present as `Authorization: Bearer <key>` or as
	// `X-Api-Key: <key>`. Default: one entry with the value `{env.VALID_TOKENS}`.
	// If no key results, a random one is made on first need, stored in Caddy's
	// data directory (readable by its owner only) and printed by
	// `caddy qwen key`.
	//
	// Caddy's access logs blank `Authorization`, but not `X-Api-Key` and
	// `Api-Key`; a `filter` encoder keeps these out of them.
	APIKeys []*APIKey `json:"api_keys,omitempty"`

	// How callers are recognised. `keys`: by an API key. `caddy`: by the user
	// that a Caddy authentication handler (such as `basic_auth`) has set in
	// `{http.auth.user.id}`. `off`: everybody may use the account; only for
	// listeners that nobody else can reach. Default: `keys`.
	Auth string `json:"auth,omitempty"`

	// The address of the site, without a path. Default: `https://chat.qwen.ai`.
	BaseURL string `json:"base_url,omitempty"`

	// The address of the host that renews access tokens, without a path. Default:
	// `https://auth.qwen.ai`.
	AuthBaseURL string `json:"auth_base_url,omitempty"`

	// The front-end version that the site's own web client reports in the
	// `version` header. The site refuses completions without one.
	// Default: `0.3.12`.
	FrontendVersion string `json:"frontend_version,omitempty"`

	// How requests travel to the site. Default: Caddy's own `http` transport
	// with a dial timeout of 10s and up to 1024 idle connections per host.
	// The transport must not set a read timeout below `idle_timeout`.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	// Names that clients may use for models of the site, for example
	// `{"gpt-4o": "qwen3.7-plus"}`. They take precedence over the built-in
	// aliases (`qwen`, `qwen3`, `qwen3-coder`, `qwen3-vl`, `qwq`,
	// `gpt-3.5-turbo`, `gpt-4`).
	ModelAliases map[string]string `json:"model_aliases,omitempty"`

	// The model for requests that name none. Default: such requests are
	// refused.
	DefaultModel string `json:"default_model,omitempty"`

	// How conversations are recorded, so that each goes on in its own chat on the
	// site. Without a record every request gets a new chat, with the history as
	// text. Default: `{"store": "sqlite"}`, a file in Caddy's data directory.
	SessionsRaw json.RawMessage `json:"sessions,omitempty" caddy:"namespace=http.handlers.qwen.sessions inline_key=store"`

	// What happens to the chats on the site that were opened for requests.
	// `keep`: nothing. `delete`: they are deleted when they have not been used for
	// `delete_chats_after`. `temporary`: each is deleted right after its answer,
	// and no conversation goes on in one. Only chats that were opened under
	// `delete` or `temporary` are ever deleted. `delete` needs a record of
	// sessions; `temporary` uses it only to try again, after `max_duration`, what
	// could not be deleted. Handlers with the same account and the same store
	// should have the same, for each deletes what any of them has opened to be
	// deleted. Default: `keep`.
	Chats string `json:"chats,omitempty"`

	// After what time without use chats are deleted. Only for `chats: delete`,
	// where it is required.
	DeleteChatsAfter caddy.Duration `json:"delete_chats_after,omitempty"`

	// The address of the object storage, such as `http://127.0.0.1:9000`, in place of
	// the one that the site names with each upload; http is possible only here.
	// Default: what the site names, which must be a host of `aliyuncs.com`.
	StorageEndpoint string `json:"storage_endpoint,omitempty"`

	// The model that answers requests with images, videos or sound if the one that
	// they name does not take these. Default: such requests are refused.
	VisionModel string `json:"vision_model,omitempty"`

	// Addresses and networks, such as `192.168.1.10` or `10.0.0.0/8`, from which
	// files may be fetched that clients name by a URL, on any port, besides those of
	// public servers on the ports 80 and 443. Default: none.
	FetchAllow []string `json:"fetch_allow,omitempty"`

	// Whether callers may have upload grants of their own from
	// `/v2/files/getstsToken`. Default: `true`.
	STSEndpoint *bool `json:"sts_endpoint,omitempty"`

	// What happens to prompts larger than `max_prompt`. `upload`: most of the text
	// goes along as a file, which the model reads, and the header
	// `X-Qwen-Long-Prompt: uploaded` tells so. `refuse`: the request is refused with
	// `context_length_exceeded`. Default: `upload`.
	LongPrompts string `json:"long_prompts,omitempty"`

	// How functions reach the model that a request offers in `tools`. `emulated`: the
	// model is told of them in words, and its calls are read from its answer.
	// `native`: the site itself offers them to the model as those of a local MCP
	// server, which it supports for some models at some times; where it fails, or the
	// definitions are larger than 100 kB, they are emulated. Default: `emulated`.
	Tools string `json:"tools,omitempty"`

	// The origins whose pages may call the API from a browser, such as
	// `https://app.example.com`, or `*` for all. Default: none.
	CORSOrigins []string `json:"cors_origins,omitempty"`

	// Whether the model list can be read without a key. Default: `true`.
	PublicModels *bool `json:"public_models,omitempty"`

	// The longest silence on an open stream before a comment line keeps the
	// connection alive. Default: `15s`.
	Heartbeat caddy.Duration `json:"heartbeat,omitempty"`

	// How long the answer to a streamed request is held back while the site is
	// silent, so that a refusal still becomes a real HTTP status. After it the
	// stream is opened and kept alive. Default: `10s`.
	FirstByteHold caddy.Duration `json:"first_byte_hold,omitempty"`

	// The longest silence of the site before a request fails with 504.
	// Default: `2m`.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// The longest duration of one answer. Default: `30m`.
	MaxDuration caddy.Duration `json:"max_duration,omitempty"`

	// How long answers may go on when Caddy stops, but not on a reload. Then streams
	// end with the error `server_stopping`, and the site is told to stop. Nothing
	// new is begun meanwhile. At most 2 seconds less than Caddy's `grace_period`, if
	// there is one, or half of a shorter one. Default: `30s`.
	DrainTimeout caddy.Duration `json:"drain_timeout,omitempty"`

	// The largest request body in bytes. Default: 20971520 (20 MiB).
	MaxBody int64 `json:"max_body,omitempty"`

	// The largest number of JSON tokens (names, values and brackets) in a request
	// body. Bodies of many tiny values need many times their size in memory.
	// Default: 100000.
	MaxJSONTokens int `json:"max_json_tokens,omitempty"`

	// The deepest nesting of objects and arrays in a request body. Default: 64.
	MaxJSONDepth int `json:"max_json_depth,omitempty"`

	// The largest prompt in bytes of UTF-8 that is sent to the site as text: the
	// new message where a conversation goes on in its chat, and the system text
	// and the history, too, in a new one. The site answers longer ones with its
	// verification page; `long_prompts` tells what happens to them instead.
	// Default: 160000 (160 kB).
	MaxPrompt int64 `json:"max_prompt,omitempty"`

	// The largest single event of the site's stream in bytes.
	// Default: 16777216 (16 MiB).
	MaxFrame int64 `json:"max_frame,omitempty"`

	// The largest answer, reasoning included, in bytes; a longer one ends with
	// the finish reason `length`. Default: 16777216 (16 MiB).
	MaxAnswer int64 `json:"max_answer,omitempty"`

	// The largest image in bytes. Default: 10000000 (10 MB).
	MaxImage int64 `json:"max_image,omitempty"`

	// The largest video in bytes. Default: 500000000 (500 MB).
	MaxVideo int64 `json:"max_video,omitempty"`

	// The largest sound file in bytes. Default: 100000000 (100 MB).
	MaxAudio int64 `json:"max_audio,omitempty"`

	// The largest document in bytes. Default: 50000000 (50 MB).
	MaxDocument int64 `json:"max_document,omitempty"`

	// How many bytes of files on their way to the site may be in temporary files
	// at the same time, in the directory `qwen/spool` of Caddy's data directory.
	// Files of up to 256 KiB are kept in memory, as long as they have at most 64 MiB
	// there together. Default: 2147483648 (2 GiB).
	MaxSpool int64 `json:"max_spool,omitempty"`

	// The largest number of chat requests served at once. Default: 256.
	MaxStreams int `json:"max_streams,omitempty"`

	// The largest number of chat requests served at once for one key or user.
	// Default: 16.
	MaxStreamsPerKey int `json:"max_streams_per_key,omitempty"`

	// The largest number of chat requests that the account answers at once;
	// further ones wait. Default: 4.
	MaxStreamsPerAccount int `json:"max_streams_per_account,omitempty"`

	// How many requests may wait for the account. Default: 32.
	QueueLength int `json:"queue_length,omitempty"`

	// How long a request may wait for the account. Default: `10s`.
	QueueWait caddy.Duration `json:"queue_wait,omitempty"`

	logger      *zap.Logger
	client      *qwen.Client // of which each account has its own
	accounts    []*account
	held        []*keeper   // to be released by Cleanup
	watcher     *background // of the accounts
	callers     *callers
	cors        *cors
	stateKey    stateKey
	provisioned bool       // a share of the state is held
	lifecycle   *lifecycle // nil unless a share of it is held

	sessionStore SessionStore // nil without a record of conversations
	housekeeper  *background  // of the record

	*files
}

// Account is the owner's account on the site: what the owner's own browser
// sends. Values may contain placeholders; `{env.*}` and `{file.*}` keep the
// secret out of the configuration.
type Account struct {
	// The name of the account in logs. Default: `default`.
	Label string `json:"label,omitempty"`

	// The whole `Cookie` header that the browser sends to chat.qwen.ai.
	Cookies string `json:"cookies,omitempty"`

	// The access token: the item `token` of the site's local storage. Default:
	// the cookie named `token`.
	Token string `json:"token,omitempty"`

	// Further request headers exactly as the owner's browser sends them, such
	// as `User-Agent`, `bx-ua` or `bx-umidtoken`.
	Headers map[string]string `json:"headers,omitempty"`

	// A file that holds all this in place of the other fields, as `caddy qwen import`
	// writes it. When it changes, what it holds is taken up at once.
	File string `json:"file,omitempty"`
}

// APIKey is one or more keys of one caller.
type APIKey struct {
	// The caller's name in logs. Keys with the same name belong to the same
	// caller, so that a key can be replaced without anybody noticing; all of
	// a name are written into one entry. Default: each key is a caller of its own.
	Name string `json:"name,omitempty"`

	// The keys. A value may also hold several keys, as a JSON list of strings
	// or separated by commas, and may contain placeholders.
	Keys []string `json:"keys,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.qwen",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)

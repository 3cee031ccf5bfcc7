// Package emulator is an emulation of the site chat.qwen.ai for tests,
// benchmarks and `caddy qwen demo`. It speaks the site's wire protocol, keeps
// chats as trees, refuses what the site refuses, and answers completions with
// canned text or with what a test has scripted. No model is behind it.
//
// # Scripts
//
// A completion that passes the site's own checks is answered by the first of:
//
//  1. the next [Reply] that was queued with [Site.Reply];
//  2. the reply of a marker in the prompt, see below;
//  3. the function given to [Site.Respond];
//  4. the default responder, which repeats what the user said.
//
// Answers for other endpoints, or for completions before any check, are queued
// with [Site.Fail].
//
// What lasts is set with [Site.Refuse] and [Site.Hold], which come before all of
// these: the site asks for verification, the account's limit is used up, the auth
// host is down or slow.
//
// # Credentials
//
// Any access token is good, unless [Options.Tokens] lists those that are; a JWT
// only until it expires by the site's clock ([Site.SkewClock]). The auth host
// gives out new ones that are good for 15 minutes ([Site.SetTokenLife]) for the
// cookie `refresh_token`, which may change each time
// ([Site.RotateRefreshTokens]). The account of a new token is that of the old one.
//
// A [Site] is also an [http.RoundTripper], for tests with the time of
// testing/synctest.
//
// # Files
//
// A file goes to the [Storage] of the site with the grant of `getstsToken`,
// and into a message as a file object. The site refuses objects that are not
// exactly as they should be, files that were not uploaded by the same account,
// and documents whose parsing the client has not seen to the end. The models
// of the catalogue that cannot see a kind of files refuse it, too. What the
// model sees is in [Completion.Files] and [Turn.Files], and the default
// responder names it. How parsing goes is set with [Site.Parse], and what goes
// wrong with the storage with [Storage.Fail].
//
// `files/getfilelink` answers with a fresh link as `data.file_url`. Links are
// good for 300 s. The address in a file object need not have a signature that
// is still good.
//
// # Tools and JSON
//
// An [Agent] is an emulated model that reads its prompts: it calls the functions
// in the block <tools> of its chat, reads results in blocks <tool_response>, and
// answers in JSON where it is told to, all of it in one of the [Styles], from
// perfect to one that ignores what it is told. A [Plan] says which function it
// calls in which round.
//
// The default responder answers as a perfect agent if functions are offered and
// the question has a word of the name of one of them, if a call or JSON is
// demanded, and if results or a correction have come.
//
// Functions in `feature_config.local_mcp` are in [Completion.LocalTools] and are
// called natively, in phase `local_tool`. The model has nothing to say where their
// declaration is longer than 127 KB; results in the role `function` are refused; and
// [Site.RefuseLocalTools] refuses all of it.
//
// # Busy chats
//
// A chat is busy from the moment a completion is accepted until its terminal
// frame ([Finish]), or until the reply ends without one, for example by an
// error frame, [Cut], [Reset] or [Drop]. If the client leaves before, the chat
// stays busy until the stop call is made. The stop call also ends a running
// stream, with the event `response.stopped`. Text that was sent until then stays
// in the chat; what ended without a terminal frame and without the stop call
// does not.
//
// # Markers
//
// A prompt that contains `[[emulator:NAME]]` or `[[emulator:NAME ARG]]` is
// answered with the reply of that name. The last marker of the prompt counts.
//
// Refusals, and answers that are no stream:
//
//	bad-request             "Internal error", as for requests the site does not like
//	broken-parent           the chain of turns is broken
//	busy                    the chat is in progress
//	challenge               human verification as JSON
//	challenge-html STATUS   human verification as a page (200)
//	chat-not-found          the chat does not exist
//	empty                   200 with nothing in it
//	expired                 the token has expired
//	login-page              the HTML page of the site
//	model-not-found         the model does not exist
//	moderation              the prompt was refused by the content filter
//	rate-limited HOURS      daily limit (4); 0: limit per minute
//	status STATUS           an HTTP error page (502)
//	too-many-messages       more than one message
//	unauthorized            not signed in
//	unauthorized-401        the same with the HTTP status 401
//
// Streams that do not end well:
//
//	burst                   an error frame about the request rate
//	cut                     text, then the end without a terminal frame
//	cut-frame               the same in the middle of a frame
//	drop                    text, then the connection closes in the middle of the body
//	empty-stream            a complete stream without text
//	error                   text, then an error frame
//	error-delta             text, then a delta with the status error
//	error-first             an error frame at once
//	garbage                 a complete answer with a broken frame in it
//	garbage-only            text, then only broken frames
//	hang                    text, then nothing more
//	hang-headers            nothing at all, not even headers
//	moderation-late         text, then the content filter
//	reset                   text, then a TCP reset
//
// Streams that are complete but unusual:
//
//	bytewise                one byte per write
//	candidates              two interleaved candidates
//	crlf                    lines that end in CR LF
//	done                    [DONE] at the end
//	gzip                    a gzip'ed body
//	hold-open               the connection stays open after the terminal frame
//	huge BYTES              one frame of that size (1 MiB)
//	keep-alive              keep-alives of all kinds before the text
//	length                  a finish_reason of length
//	long FRAMES             that many frames (1000)
//	search                  a web search before the text
//	slow MILLISECONDS       60 frames with that pause between them (1000)
//	think                   reasoning as text
//	unicode                 text that needs escaping
//
// Agents. They go on in the chat: call until it has the results, style for all later
// prompts without a marker. The styles are those of [Styles]; a style lasts until
// the first correction (once), comes back in the next turn (each-turn), or does not
// care (always).
//
//	call NAME JSON          a call of that function with these arguments ({})
//	style STYLE HOW-LONG    an [Agent] of that style (once)
package emulator

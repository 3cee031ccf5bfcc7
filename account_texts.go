package caddyqwen

import "time"

// tongue is one of those that the page at `/` is in.
type tongue int

const (
	english tongue = iota
	chinese
)

// stateText is what people are told of the state of an account. In remedies, what
// stands between backticks is code.
type stateText struct {
	name   [2]string
	remedy [2]string // what the owner has to do, or empty
	class  string    // of the badge: good, warn, bad or dim
}

// codeNoCredential is what the report of an account without a credential has as its
// last error.
const codeNoCredential = "no_credential"

// The texts for accounts without a credential, for those with which the site cannot
// be reached, and for those that cannot be renewed for now.
var (
	missingText = stateText{
		[2]string{"Not set up", "尚未设置"},
		[2]string{
			"Import a credential with `caddy qwen import`, or set `QWEN_COOKIES` or `QWEN_AUTH_TOKEN` on the server and restart.",
			"请用 `caddy qwen import` 导入凭据，或在服务器上设置 `QWEN_COOKIES` 或 `QWEN_AUTH_TOKEN` 后重启。",
		}, "bad",
	}
	unreachableText = stateText{
		[2]string{"Site not reached", "无法连接网站"},
		[2]string{
			"The site could not be reached a moment ago. If it stays so, look at the server's network and its log.",
			"刚才无法连接到网站。如果一直如此，请检查服务器的网络和日志。",
		}, "bad",
	}
	renewingText = stateText{
		[2]string{"Being renewed", "正在续期"},
		[2]string{
			"The access token has ended and could not be renewed yet. The server tries again by itself; if it stays so, look at its log.",
			"访问令牌已到期，暂时未能续期。服务器会自行重试；如果一直如此，请查看服务器的日志。",
		}, "warn",
	}
)

// stateTexts are the texts for each state.
var stateTexts = map[accountState]stateText{
	accountUnknown: {[2]string{"Not checked yet", "尚未检查"}, [2]string{}, "dim"},
	accountOK:      {[2]string{"OK", "正常"}, [2]string{}, "good"},
	accountExpiring: {
		[2]string{"Expires soon", "即将过期"},
		[2]string{
			"The credential ends soon and cannot be renewed. Log in to the site in a browser again, and import the credential anew with `caddy qwen import`.",
			"凭据即将过期，且无法续期。请在浏览器里重新登录网站，再用 `caddy qwen import` 重新导入。",
		}, "warn",
	},
	accountExpired: {
		[2]string{"Expired", "已过期"},
		[2]string{
			"The site does not accept the credential any more. Log in to the site in a browser, and import the credential anew with `caddy qwen import`.",
			"网站不再接受此凭据。请在浏览器里登录网站，再用 `caddy qwen import` 重新导入。",
		}, "bad",
	},
	accountVerification: {
		[2]string{"Verification needed", "需要人机验证"},
		[2]string{
			"The site asks for human verification. Open the site in a browser, finish the check, wait some minutes, and end the rest with `caddy qwen accounts --clear <label>`. If it goes on, import the credential anew with `caddy qwen import`.",
			"网站要求人机验证。请在浏览器里打开网站，完成验证，等几分钟，再用 `caddy qwen accounts --clear <label>` 恢复使用。如果仍然如此，请用 `caddy qwen import` 重新导入。",
		}, "bad",
	},
	accountQuota: {
		[2]string{"Limit used up", "额度已用完"},
		[2]string{
			"The account has used up a limit on the site, at least for one model. Wait, or use another model.",
			"账号在网站上的额度已用完，至少有一个模型如此。请等待，或换用其他模型。",
		}, "warn",
	},
}

// text returns what people are told of an account.
func (r accountReport) text() stateText {
	switch {
	case r.missing():
		return missingText
	case r.Unreachable && !r.resting():
		return unreachableText
	case r.renewing(time.Now()):
		return renewingText
	}
	return stateTexts[r.State]
}

// renewing reports whether the credential has expired only because it could not be
// renewed so far, and soon is tried again.
func (r accountReport) renewing(now time.Time) bool {
	return r.State == accountExpired && r.Renewable && r.Until.Sub(now) <= renewalMaxPause
}

package oss

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// policyLife is how long the permission in a form lasts. It covers this one
// object, so it need not be shorter than a slow line takes.
const policyLife = time.Hour

// policy returns the text of a policy that permits exactly one object: this
// bucket, this key, this many bytes, these fields. Fields of the signature that
// the policy does not name would be refused as unknown.
func policy(bucket string, size int64, at time.Time, fields []param) string {
	conditions := []any{map[string]string{"bucket": bucket}}
	for _, f := range fields {
		conditions = append(conditions, []string{"eq", "$" + f.name, f.value})
	}
	conditions = append(conditions, []any{"content-length-range", size, size})
	text, err := json.Marshal(map[string]any{
		"expiration": at.UTC().Add(policyLife).Format("2006-01-02T15:04:05.000Z"),
		"conditions": conditions,
	})
	if err != nil {
		panic(err) // strings and whole numbers only
	}
	return string(text)
}

// formFields returns the fields of a signed form for one object, in the order in
// which they are sent. The file itself comes after them.
func (c credentials) formFields(bucket, key string, size int64, at time.Time) []param {
	sc := c.scopeAt(at)
	covered := []param{
		{"key", key},
		{"success_action_status", "200"},
		{"x-oss-signature-version", algorithm},
		{"x-oss-credential", c.id + "/" + sc.String()},
		{"x-oss-date", at.UTC().Format(stampLayout)},
	}
	if c.token != "" {
		covered = append(covered, param{"x-oss-security-token", c.token})
	}
	text := base64.StdEncoding.EncodeToString([]byte(policy(bucket, size, at, covered)))
	return append(covered,
		param{"policy", text},
		param{"x-oss-signature", signature(signingKey(c.secret, sc), text)},
	)
}

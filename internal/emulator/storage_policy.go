package emulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// policy is what the signer of a form allows.
type policy struct {
	expires     time.Time
	conditions  []condition
	limited     bool // least and most count
	least, most int64
}

// condition is what a field of the form must be like.
type condition struct {
	text     string // as it stands in the policy
	operator string // eq, starts-with, in or not-in
	field    string // in lower case
	values   []string
}

// badPolicy is the refusal of a policy that cannot be understood.
func badPolicy(why, ec string) error {
	return storageFailure(http.StatusBadRequest, "InvalidPolicyDocument", "Invalid Policy: "+why, ec)
}

// unmet is the refusal of a form that its policy does not allow.
func unmet(why, ec string) error {
	return accessDenied("Invalid according to Policy: "+why, ec)
}

// readPolicy reads the Base64 text of a policy.
func readPolicy(text string) (*policy, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, badPolicy("it is not in Base64.", "")
	}
	var doc struct {
		Expiration *string           `json:"expiration"`
		Conditions []json.RawMessage `json:"conditions"`
	}
	if err := members(raw, "expiration", "conditions"); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if dec.Decode(&doc) != nil || doc.Expiration == nil || doc.Conditions == nil {
		return nil, badPolicy("it is not a JSON object with expiration and conditions.", "0006-00000206")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, badPolicy("something follows after the JSON object.", "0006-00000206")
	}
	p := &policy{}
	if p.expires, err = time.Parse(policyTime, *doc.Expiration); err != nil {
		return nil, badPolicy("the expiration is no time such as "+policyTime+".", "0006-00000209")
	}
	for _, c := range doc.Conditions {
		if err := p.add(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// members checks that a JSON object has exactly these members, spelled so.
func members(raw []byte, names ...string) error {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil || len(all) != len(names) {
		return badPolicy("it is not a JSON object with expiration and conditions only.", "0006-00000207")
	}
	for _, n := range names {
		if all[n] == nil {
			return badPolicy("it lacks "+n+".", "0006-00000207")
		}
	}
	return nil
}

// add reads one condition.
func (p *policy) add(raw json.RawMessage) error {
	if bytes.HasPrefix(raw, []byte{'{'}) {
		return p.addObject(raw)
	}
	var list []json.RawMessage
	var operator string
	if json.Unmarshal(raw, &list) != nil || len(list) != 3 || json.Unmarshal(list[0], &operator) != nil {
		return badPolicy("a condition must be an object or a list of three: "+string(raw), "")
	}
	operator = strings.ToLower(operator)
	if operator == "content-length-range" {
		return p.addRange(list)
	}
	var field string
	if json.Unmarshal(list[1], &field) != nil || len(field) < 2 || field[0] != '$' {
		return badPolicy("the field of a condition must be a name after a dollar sign: "+string(raw), "")
	}
	c := condition{text: string(raw), operator: operator, field: strings.ToLower(field[1:])}
	var err error
	switch operator {
	case "eq", "starts-with":
		c.values = make([]string, 1)
		err = json.Unmarshal(list[2], &c.values[0])
	case "in", "not-in":
		err = json.Unmarshal(list[2], &c.values)
	default:
		return badPolicy("there is no operator "+operator+".", "")
	}
	if err != nil {
		return badPolicy("the value of a condition is invalid: "+string(raw), "")
	}
	p.conditions = append(p.conditions, c)
	return nil
}

// addObject reads a condition of the form {"field":"value"}.
func (p *policy) addObject(raw json.RawMessage) error {
	var simple map[string]string
	if json.Unmarshal(raw, &simple) != nil || len(simple) != 1 {
		return badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.", "")
	}
	for field, value := range simple {
		p.conditions = append(p.conditions, condition{
			text: string(raw), operator: "eq", field: strings.ToLower(field), values: []string{value},
		})
	}
	return nil
}

// addRange reads ["content-length-range", least, most].
func (p *policy) addRange(list []json.RawMessage) error {
	if p.limited {
		return badPolicy("there is more than one content-length-range.", "0006-00000219")
	}
	var failed, failedToo error
	p.least, failed = strconv.ParseInt(string(list[1]), 10, 64)
	p.most, failedToo = strconv.ParseInt(string(list[2]), 10, 64)
	if failed != nil || failedToo != nil || p.least < 0 || p.most < p.least {
		return badPolicy("content-length-range needs two integers, the smaller one first.", "0006-00000222")
	}
	p.limited = true
	return nil
}

// uncovered are the fields that no condition needs to name.
var uncovered = []string{
	"policy", "x-oss-signature", "key", "success_action_status", "success_action_redirect",
	"content-type", "content-disposition", "content-encoding", "cache-control", "expires",
}

// check tells whether a policy allows a form that is sent now and was signed
// at another time.
func (p *policy) check(fields map[string]string, bucket string, signed, now time.Time) error {
	switch {
	case !now.Before(p.expires):
		return unmet("Policy expired.", "")
	case p.expires.Sub(signed) > maxLinkLife*time.Second:
		return unmet("the policy expires more than 7 days after x-oss-date.", "")
	}
	covered := make(map[string]bool)
	for _, c := range p.conditions {
		value, sent := fields[c.field]
		if c.field == "bucket" {
			value, sent = bucket, true
		}
		if !sent {
			return unmet(fmt.Sprintf("the form has no field %s: %s", c.field, c.text), "0006-00000226")
		}
		if !c.holds(value) {
			return unmet("Policy Condition failed: "+c.text, "0006-00000227")
		}
		covered[c.field] = true
	}
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		if !covered[f] && !slices.Contains(uncovered, f) {
			return unmet("Extra input fields: "+f, "0006-00000228")
		}
	}
	return nil
}

// holds tells whether the value of a field is as the condition wants it.
func (c *condition) holds(value string) bool {
	switch c.operator {
	case "eq":
		return value == c.values[0]
	case "starts-with":
		return strings.HasPrefix(value, c.values[0])
	case "in":
		return slices.Contains(c.values, value)
	}
	return !slices.Contains(c.values, value) // not-in
}

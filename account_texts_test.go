package caddyqwen

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// There is a text for each state, in both languages, and a remedy where one is
// needed.
func TestStateTexts(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(stateTexts)), slices.Sorted(slices.Values(accountStates)); !slices.Equal(got, want) {
		t.Errorf("texts for %q, want %q", got, want)
	}
	texts := slices.AppendSeq([]stateText{missingText, unreachableText, renewingText}, maps.Values(stateTexts))
	for _, text := range texts {
		if text.name[english] == "" || text.name[chinese] == "" || text.class == "" || (text.remedy[english] == "") != (text.remedy[chinese] == "") {
			t.Errorf("%+v", text)
		}
		if fine := text.class == "good" || text.class == "dim"; fine != (text.remedy[english] == "") {
			t.Errorf("%+v", text)
		}
	}
}

// What is told follows from the whole report, the most pressing first.
func TestStateTextOfReport(t *testing.T) {
	soon, late := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	for name, tt := range map[string]struct {
		report accountReport
		want   stateText
	}{
		"missing":                     {accountReport{State: accountUnknown, LastError: codeNoCredential}, missingText},
		"missing and out of reach":    {accountReport{State: accountUnknown, LastError: codeNoCredential, Unreachable: true}, missingText},
		"out of reach":                {accountReport{State: accountOK, Unreachable: true}, unreachableText},
		"refused and out of reach":    {accountReport{State: accountVerification, Unreachable: true}, stateTexts[accountVerification]},
		"expired":                     {accountReport{State: accountExpired, Until: soon}, stateTexts[accountExpired]},
		"renewal is tried again soon": {accountReport{State: accountExpired, Until: soon, Renewable: true}, renewingText},
		"renewal was refused":         {accountReport{State: accountExpired, Until: late, Renewable: true}, stateTexts[accountExpired]},
		"another failure before":      {accountReport{State: accountOK, LastError: "upstream_quota_exceeded"}, stateTexts[accountOK]},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.report.text(); got != tt.want {
				t.Errorf("%v, want %v", got.name, tt.want.name)
			}
		})
	}
}

package form

import "testing"

// .NET writes names that are not ASCII as the headers of mail do, and once more as
// HTTP does.
func TestNamesOfDotNet(t *testing.T) {
	for header, want := range map[string]string{
		`form-data; name=file; filename="=?utf-8?B?5rWL6K+VLmNzdg==?="`:                                          "测试.csv",
		`form-data; name=file; filename="=?utf-8?B?5rWL6K+VLmNzdg==?="; filename*=utf-8''%E6%B5%8B%E8%AF%95.csv`: "测试.csv",
		`form-data; name=file; filename="=?what is this?=.csv"`:                                                  "=?what is this?=.csv",
	} {
		if got, ok := dispositionParams(header).fileName(); !ok || got != want {
			t.Errorf("%s: %q, %v", header, got, ok)
		}
	}
}

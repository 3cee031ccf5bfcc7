// Package sessiontest has the tests that every implementation of session.Store
// must pass. A test of an implementation calls Run and, if what it stores outlives
// it, RunPersistent.
package sessiontest

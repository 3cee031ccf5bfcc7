//go:build race

package caddyqwen

// raceDetector tells that the test runs with the race detector.
const raceDetector = true

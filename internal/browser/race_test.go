//go:build race

package browser

// raceDetector tells that the test runs with the race detector.
const raceDetector = true

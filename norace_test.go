//go:build !race

package caddyqwen

const raceDetector = false

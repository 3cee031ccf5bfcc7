package sqlite

// roleVariable makes the test's own program play another role in a process of its
// own.
const roleVariable = "SESSION_SQLITE_ROLE"

var roles = map[string]func(){}

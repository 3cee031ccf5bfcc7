package caddyqwen

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"time"

	"go.uber.org/zap"
)

// A panic in a goroutine of its own would end the process, and with it everything
// that Caddy serves; one in a request's goroutine would cut the connection, and
// Caddy would log its value. So all goroutines recover, by what is below.

// logPanic tells the owner of a panic. Its value may hold anything, such as a
// prompt or a token, so that only its type is told, unless it comes from the
// runtime.
func logPanic(logger *zap.Logger, doing string, value any, more ...zap.Field) {
	fields := append(more, zap.String("while", doing), zap.String("type", fmt.Sprintf("%T", value)))
	if err, ok := value.(runtime.Error); ok && ofRuntime(value) {
		fields = append(fields, zap.String("panic", err.Error()))
	}
	logger.Error("a fault of the program (panic); please report it", append(fields, zap.Stack("stack"))...)
}

// ofRuntime reports whether a value's type is one of the runtime.
func ofRuntime(value any) bool {
	t := reflect.TypeOf(value)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "runtime"
}

// recovered is to be deferred; it makes an error of a panic.
func recovered(logger *zap.Logger, doing string, err *error) {
	if v := recover(); v != nil {
		logPanic(logger, doing, v)
		*err = errPanic
	}
}

// guard calls a function, and makes an error of a panic in it.
func guard(logger *zap.Logger, doing string, f func() error) (err error) {
	defer recovered(logger, doing, &err)
	return f()
}

// faultPause is the pause after a panic in what is done all the time.
const faultPause = time.Minute

// keepDoing does something until it is done or the context ends, and again if it
// panics.
func keepDoing(ctx context.Context, logger *zap.Logger, doing string, f func()) {
	once := func() error {
		f()
		return nil
	}
	for guard(logger, doing, once) != nil && sleep(ctx, faultPause) == nil {
	}
}

// rescue is to be deferred; it makes an answer of a panic. If the answer has begun,
// its end must not look as if it was complete.
func (h *Handler) rescue(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	info := infoOf(r.Context())
	logPanic(h.logger, "a request was answered", v, zap.String("request_id", info.id))
	if info.status != 0 {
		panic(http.ErrAbortHandler)
	}
	h.writeError(w, r, errPanic)
}

// rescue is to be deferred; it ends the answer after a panic.
func (x *relay) rescue(err *error) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	logPanic(x.h.logger, "an answer was written", v, zap.String("request_id", infoOf(x.r.Context()).id))
	x.buf = nil // it may be half done
	*err = x.fail(errPanic)
}

// live runs the turn. Whatever panics, everything is given back, and the receiver
// hears of it.
func (u *upstream) live(ctx context.Context) {
	defer func() {
		if !u.followed {
			u.lease.end()
		}
	}()
	const doing = "a turn was carried out"
	err := guard(u.h.logger, doing, func() error {
		u.run(ctx)
		return nil
	})
	if err == nil {
		return
	}
	u.hand(ctx, read{err: err})
	if aborted := u.aborted(ctx); u.chatID == "" || !aborted {
		return
	}
	_ = guard(u.h.logger, doing, func() error {
		u.stop(ctx) // the site may be writing
		return nil
	})
	_ = guard(u.h.logger, doing, func() error {
		u.leave(ctx, err)
		return nil
	})
}

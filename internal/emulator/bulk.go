package emulator

import (
	"bytes"
	"time"
)

// bulkWrite is how many bytes Bulk writes at once.
const bulkWrite = 16 << 10

// Bulk is a reply for benchmarks: [Created], n answer frames with the same
// text, [Usage], [Finish]. With a gap of 0 as many frames as fit into 16 KiB
// are written at once; else one frame per gap, flushed. The frames are
// rendered once, carry no usage and are always incremental.
func Bulk(n int, text string, gap time.Duration) Reply {
	frames := Step{func(st *stream) error { return st.bulk(n, text, gap) }}
	return Stream(Created(), frames, Usage(10, n, 0), Finish())
}

func (st *stream) bulk(n int, text string, gap time.Duration) error {
	if n <= 0 {
		return nil
	}
	if st.recording {
		st.primary().text.Write(bytes.Repeat([]byte(text), n))
	}
	one := st.bulkFrame(text)
	st.frames += n
	if gap > 0 {
		return st.drip(n, one, gap)
	}
	many := max(1, min(n, bulkWrite/len(one)))
	block := bytes.Repeat(one, many)
	for ; n > 0; n -= many {
		if err := st.alive(); err != nil {
			return err
		}
		if err := st.write(block[:min(n, many)*len(one)]); err != nil {
			return err
		}
	}
	return nil
}

// drip sends one frame per gap.
func (st *stream) drip(n int, one []byte, gap time.Duration) error {
	for range n {
		if err := st.sleep(gap); err != nil {
			return err
		}
		if err := st.write(one); err != nil {
			return err
		}
	}
	return nil
}

// bulkFrame renders an answer frame of the current candidate.
func (st *stream) bulkFrame(text string) []byte {
	b := appendString([]byte(`data: {"choices":[{"delta":{"role":"assistant","content":`), text)
	b = st.appendPhase(b, "answer")
	b = appendString(append(b, `,"status":"typing"}}],"response_id":`...), st.current.id)
	return st.appendEnd(appendTime(b))
}

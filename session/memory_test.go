package session

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// memory is the plainest Store: a list of turns and a list of chats.
type memory struct {
	mu     sync.Mutex
	turns  []*Turn            // in the order in which they were recorded
	keys   map[Digest][]*Turn // by pair and by alias
	chats  []*Chat
	files  *memoryFiles // nil before the first one
	closed bool

	// For tests: how often turns were read, what reads return instead of turns,
	// and how turns are changed on their way out.
	reads  int
	fail   error
	tamper func(*Turn)
}

// clamp is a limit that is neither negative nor above n.
func clamp(limit, n int) int { return max(0, min(limit, n)) }

func (m *memory) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, ErrUnavailable
	}
	return m.mu.Unlock, nil
}

// out returns a turn as it goes out.
func (m *memory) out(t *Turn) Turn {
	c := *t
	c.Aliases, c.Messages, c.Variants = nil, slices.Clone(t.Messages), slices.Clone(t.Variants)
	if m.tamper != nil {
		m.tamper(&c)
	}
	return c
}

func (m *memory) Find(ctx context.Context, key Key, limit int) ([]Turn, error) {
	return m.find(ctx, key.Pair, limit, func(t *Turn) bool { return t.Matches(key) })
}

func (m *memory) FindAlias(ctx context.Context, alias Digest, limit int) ([]Turn, error) {
	return m.find(ctx, alias, limit, func(t *Turn) bool { return slices.Contains(t.Aliases, alias) })
}

func (m *memory) find(ctx context.Context, key Digest, limit int, wanted func(*Turn) bool) ([]Turn, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	m.reads++
	if m.fail != nil {
		return nil, m.fail
	}
	found := slices.DeleteFunc(slices.Clone(m.keys[key]), func(t *Turn) bool { return !wanted(t) })
	slices.Reverse(found) // of those of the same time, the last recorded first
	slices.SortStableFunc(found, func(a, b *Turn) int {
		if a.Continued != b.Continued {
			if a.Continued {
				return 1
			}
			return -1
		}
		return b.Time.Compare(a.Time)
	})
	var turns []Turn
	for _, t := range found[:clamp(limit, len(found))] {
		turns = append(turns, m.out(t))
	}
	return turns, nil
}

func (m *memory) Turn(ctx context.Context, account Digest, chatID, responseID string) (Turn, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return Turn{}, err
	}
	defer end()
	m.reads++
	if m.fail != nil {
		return Turn{}, m.fail
	}
	if t := m.turn(account, chatID, responseID); t != nil {
		return m.out(t), nil
	}
	return Turn{}, ErrNotFound
}

func (m *memory) turn(account Digest, chatID, responseID string) *Turn {
	for _, t := range m.turns {
		if t.Account == account && t.ChatID == chatID && t.ResponseID == responseID {
			return t
		}
	}
	return nil
}

func (m *memory) Record(ctx context.Context, t Turn) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if m.turn(t.Account, t.ChatID, t.ResponseID) != nil {
		return nil
	}
	t.Continued = false
	if parent := m.turn(t.Account, t.ChatID, t.ParentID); parent != nil {
		parent.Continued = true
	}
	m.turns = append(m.turns, &t)
	m.index(&t)
	return nil
}

func (m *memory) index(t *Turn) {
	if m.keys == nil {
		m.keys = make(map[Digest][]*Turn)
	}
	for _, key := range append(slices.Clone(t.Aliases), t.Pair) {
		if !slices.Contains(m.keys[key], t) {
			m.keys[key] = append(m.keys[key], t)
		}
	}
}

// remove removes turns, and returns how many.
func (m *memory) remove(which func(*Turn) bool) int {
	before := len(m.turns)
	m.turns = slices.DeleteFunc(m.turns, which)
	m.keys = nil
	for _, t := range m.turns {
		m.index(t)
	}
	return before - len(m.turns)
}

func (m *memory) chat(account Digest, id string) *Chat {
	for _, c := range m.chats {
		if c.Account == account && c.ID == id {
			return c
		}
	}
	return nil
}

// used returns a chat as its turns make it: nil if it was neither added nor has
// any.
func (m *memory) used(account Digest, id string) *Chat {
	var c *Chat
	if added := m.chat(account, id); added != nil {
		c = new(Chat)
		*c = *added
	}
	for _, t := range m.turns {
		if t.Account != account || t.ChatID != id {
			continue
		}
		switch {
		case c == nil:
			c = &Chat{Account: account, ID: id, Tenant: t.Tenant, Model: t.Model, Created: t.Time, Used: t.Time}
		case t.Tenant == c.Tenant && t.Time.After(c.Used):
			c.Used = t.Time
		}
	}
	return c
}

// keepUsed makes the chats that were added count as used when their turns were.
func (m *memory) keepUsed() {
	for _, c := range m.chats {
		c.Used = m.used(c.Account, c.ID).Used
	}
}

func (m *memory) AddChat(ctx context.Context, c Chat) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if old := m.chat(c.Account, c.ID); old != nil {
		if c.Used.After(old.Used) {
			old.Used = c.Used
		}
		return nil
	}
	m.chats = append(m.chats, &c)
	return nil
}

func (m *memory) Chat(ctx context.Context, account Digest, chatID string) (Chat, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return Chat{}, err
	}
	defer end()
	if c := m.used(account, chatID); c != nil {
		return *c, nil
	}
	return Chat{}, ErrNotFound
}

func (m *memory) ForgetTurns(ctx context.Context, account Digest, chatID string) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if c := m.used(account, chatID); c != nil && m.chat(account, chatID) == nil {
		m.chats = append(m.chats, c)
	}
	m.keepUsed()
	m.remove(func(t *Turn) bool { return t.Account == account && t.ChatID == chatID })
	return nil
}

func (m *memory) RemoveChat(ctx context.Context, account Digest, chatID string) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	m.remove(func(t *Turn) bool { return t.Account == account && t.ChatID == chatID })
	m.chats = slices.DeleteFunc(m.chats, func(c *Chat) bool { return c.Account == account && c.ID == chatID })
	return nil
}

func (m *memory) IdleChats(ctx context.Context, account Digest, before time.Time, limit int) ([]Chat, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var idle []Chat
	for _, added := range m.chats {
		if c := m.used(added.Account, added.ID); c.Account == account && c.Disposable && c.Used.Before(before) {
			idle = append(idle, *c)
		}
	}
	slices.SortStableFunc(idle, func(a, b Chat) int {
		return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.ID, b.ID))
	})
	return idle[:clamp(limit, len(idle))], nil
}

func (m *memory) Prune(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	oldest := slices.Clone(m.turns)
	slices.SortStableFunc(oldest, func(a, b *Turn) int { return a.Time.Compare(b.Time) })
	gone := make(map[*Turn]bool)
	for i, t := range oldest {
		if len(gone) < limit && (t.Time.Before(before) || len(oldest)-i > keep) {
			gone[t] = true
		}
	}
	m.keepUsed()
	removed := m.remove(func(t *Turn) bool { return gone[t] })
	chats := 0
	m.chats = slices.DeleteFunc(m.chats, func(c *Chat) bool {
		has := func(t *Turn) bool { return t.Account == c.Account && t.ChatID == c.ID }
		if c.Disposable || chats == limit || !c.Used.Before(before) || slices.ContainsFunc(m.turns, has) {
			return false
		}
		chats++
		return true
	})
	return removed + chats + m.pruneFiles(before, limit), nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

var _ Store = (*memory)(nil)

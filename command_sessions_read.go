package caddyqwen

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// listOptions say which chats to list.
type listOptions struct {
	caller string // empty: of all
	limit  int    // 0: all
}

// list prints a table of chats.
func (r *sessionsRun) list(o listOptions) error {
	var found []sqlite.ChatInfo
	total := 0
	err := r.eachChat(func(c sqlite.ChatInfo) error {
		if o.caller != "" && !calledBy(c.Tenant, o.caller) {
			return nil
		}
		total++
		if found = append(found, c); o.limit > 0 && len(found) >= 2*o.limit {
			found = lastUsed(found, o.limit)
		}
		return nil
	})
	if err != nil {
		return err
	}
	found = lastUsed(found, o.limit)
	if r.json {
		return printJSON(r.out, chatList{Chats: chatLines(found), Total: total})
	}
	return r.printList(found, total, o)
}

// lastUsed returns the chats that were used last, at most limit of them unless it
// is 0. Those of the same time are in the order of their ids.
func lastUsed(chats []sqlite.ChatInfo, limit int) []sqlite.ChatInfo {
	slices.SortFunc(chats, func(a, b sqlite.ChatInfo) int {
		return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.ID, b.ID))
	})
	if limit > 0 && len(chats) > limit {
		chats = chats[:limit]
	}
	return chats
}

func (r *sessionsRun) printList(found []sqlite.ChatInfo, total int, o listOptions) error {
	if len(found) > 0 {
		table := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CHAT\tCALLER\tMODEL\tTURNS\tCREATED\tLAST USED\tDELETABLE")
		for _, c := range found {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", shown(c.ID), shown(c.Tenant), shown(c.Model),
				c.Turns, localTime(c.Created), localTime(c.Used), yesNo(c.Disposable))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(r.out)
	}
	text := counted(total, "chat") + " in all"
	if o.caller != "" {
		text = counted(total, "chat") + " of this caller in all"
	}
	if len(found) < total {
		text += fmt.Sprintf(", of which these are the last %d; --limit 0 lists all", len(found))
	}
	_, err := fmt.Fprintln(r.out, text+".")
	return err
}

// calledBy reports whether the chats of a tenant are meant if somebody asks for
// those of a caller: by the tenant itself, or by the name that is in logs or in
// the configuration.
func calledBy(tenant, asked string) bool {
	id, isKey := strings.CutPrefix(asked, "key-")
	return tenant == asked || tenant == "name:"+asked || tenant == "user:"+digestID("user", asked) ||
		isKey && len(id) >= 8 && strings.HasPrefix(tenant, "key:"+id)
}

// show prints the turns of the chats with the id.
func (r *sessionsRun) show(args []string) error {
	chats, err := r.find(args)
	if err != nil {
		return err
	}
	details := make([]chatDetail, len(chats))
	for i, c := range chats {
		turns, err := r.store.Turns(r.ctx, c.Account, c.ID)
		if err != nil {
			return err
		}
		c.Turns = len(turns)
		details[i] = chatDetail{c, treeOf(turns)}
	}
	if r.json {
		return printJSON(r.out, detailList(details))
	}
	for i, d := range details {
		if i > 0 {
			fmt.Fprintln(r.out)
		}
		if err := r.printDetail(d); err != nil {
			return err
		}
	}
	return nil
}

// chatDetail is a chat with its turns.
type chatDetail struct {
	sqlite.ChatInfo
	tree []treeTurn
}

func (r *sessionsRun) printDetail(d chatDetail) error {
	table := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "Chat:\t%s\nAccount:\t%s\nCaller:\t%s\nModel:\t%s\nCreated:\t%s\nLast used:\t%s\nDeletable:\t%s\nTurns:\t%d\n",
		shown(d.ID), d.Account, shown(d.Tenant), shown(d.Model), localTime(d.Created), localTime(d.Used), yesNo(d.Disposable), d.Turns)
	if err := table.Flush(); err != nil || len(d.tree) == 0 {
		return err
	}
	fmt.Fprintln(table, "\nTIME\tMESSAGES\tDIGEST\tRESPONSE")
	for _, t := range d.tree {
		fmt.Fprintf(table, "%s\t%s\t%.8s\t%s%s\n",
			localTime(t.Time), messageCount(t.Turn), t.Chain.String(), t.indent(), shown(t.ResponseID))
	}
	return table.Flush()
}

// messageCount tells how many messages a turn added.
func messageCount(t session.Turn) string {
	if t.Partial {
		return fmt.Sprintf("%d+", len(t.Messages))
	}
	return fmt.Sprint(len(t.Messages))
}

// treeTurn is a turn at its level of the tree.
type treeTurn struct {
	session.Turn
	level  int  // 0: a root
	orphan bool // a root that follows a turn that is not there
}

// deepest is the last level that is drawn further to the right.
const deepest = 20

func (t treeTurn) indent() string {
	switch {
	case t.orphan:
		return "… "
	case t.level > deepest:
		return strings.Repeat("  ", deepest) + fmt.Sprintf("(%d) ", t.level)
	}
	return strings.Repeat("  ", t.level)
}

// treeOf returns turns in the order of their tree: each is followed by those that
// follow it, in their own order.
func treeOf(turns []session.Turn) []treeTurn {
	known, seen := map[string]bool{}, map[string]bool{}
	followers := map[string][]session.Turn{}
	for _, t := range turns {
		known[t.ResponseID] = true
		followers[t.ParentID] = append(followers[t.ParentID], t)
	}
	tree := make([]treeTurn, 0, len(turns))
	add := func(root session.Turn) {
		stack := []treeTurn{{root, 0, root.ParentID != ""}}
		for len(stack) > 0 {
			t := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[t.ResponseID] {
				continue
			}
			seen[t.ResponseID] = true
			tree = append(tree, t)
			for _, next := range slices.Backward(followers[t.ResponseID]) {
				stack = append(stack, treeTurn{next, t.level + 1, false})
			}
		}
	}
	for _, t := range turns {
		if !known[t.ParentID] {
			add(t)
		}
	}
	for _, t := range turns {
		add(t) // of a circle, which only a damaged file has
	}
	return tree
}

// export prints everything, a chat and its turns at a time.
func (r *sessionsRun) export() error {
	out := bufio.NewWriterSize(r.out, 64<<10)
	err := r.store.EachChat(r.ctx, func(c sqlite.ChatInfo, turns []session.Turn) error {
		if err := printLine(out, exportedChat{"chat", chatLineOf(c)}); err != nil {
			return err
		}
		for _, t := range turns {
			if err := printLine(out, exportedTurnOf(t)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, out.Flush())
}

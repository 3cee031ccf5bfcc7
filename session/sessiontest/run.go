package sessiontest

import (
	"testing"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// Opener returns a new, empty store, ready for use. The tests close it; that it is
// closed again at the end of the test must do no harm.
type Opener func(t *testing.T) session.Store

// Run tests a store against each sentence of the documentation of session.Store.
func Run(t *testing.T, open Opener) {
	for name, test := range map[string]func(t *testing.T, s *store){
		"an empty store finds nothing":         testEmpty,
		"a turn comes back as it was recorded": testRoundTrip,
		"Find/order":                           testFindOrder,
		"Find/limit":                           testFindLimit,
		"Find/what a key names":                testFindKeys,
		"Find/digests that are alike":          testFindAlike,
		"Find/many turns with one key":         testFindMany,
		"Find/many turns with one pair":        testFindManyPairs,
		"FindAlias":                            testFindAlias,
		"Turn/by place":                        testTurnPlace,
		"Record/marks the parent":              testRecordMarksParent,
		"Record/without its parent":            testRecordNoParent,
		"Record/twice is once":                 testRecordTwice,
		"Record/tenants side by side":          testTenantsApart,
		"AddChat":                              testAddChat,
		"AddChat/twice":                        testAddChatTwice,
		"AddChat/after its turns":              testAddChatLate,
		"Chat/that was not added":              testChatOfTurns,
		"Chat/is used with its turns":          testChatUsed,
		"Chat/by account":                      testChatAccounts,
		"ForgetTurns":                          testForgetTurns,
		"ForgetTurns/leaves the chat":          testForgetTurnsChat,
		"RemoveChat":                           testRemoveChat,
		"IdleChats":                            testIdleChats,
		"Prune/age":                            testPruneAge,
		"Prune/number":                         testPruneNumber,
		"Prune/chats":                          testPruneChats,
		"Prune/disposable chats stay":          testPruneDisposable,
		"Prune/chats stay used":                testPruneUsed,
		"Prune/limit":                          testPruneLimit,
		"Prune/files":                          testPruneFiles,
		"Prune/aliases":                        testPruneAliases,
		"a context that has ended":             testContext,
		"Close":                                testClose,
		"Close/while in use":                   testCloseInUse,
		"concurrent/writers and readers":       testConcurrent,
		"concurrent/one turn":                  testConcurrentSame,
		"concurrent/cancelled reads":           testConcurrentCancel,
		"random/like a plain list":             testRandom,
	} {
		t.Run(name, func(t *testing.T) { test(t, wrap(t, open(t))) })
	}
	t.Run("files", func(t *testing.T) {
		RunFiles(t, func(t *testing.T) session.FileStore { return wrap(t, open(t)) })
	})
}

// RunPersistent tests a store that keeps what is acknowledged, after Close and after
// a crash. The function opens the store of a directory, in which it keeps all.
func RunPersistent(t *testing.T, open func(t *testing.T, dir string) session.Store) {
	t.Run("acknowledged turns are there after Close", func(t *testing.T) { testReopen(t, open) })
	t.Run("acknowledged changes are there after Close", func(t *testing.T) { testReopenChanges(t, open) })
	t.Run("what was acknowledged is there without Close", func(t *testing.T) { testCrash(t, open) })
}

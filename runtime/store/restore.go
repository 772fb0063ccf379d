package store

import "strings"

// Restore gives the entry that s was made of at a key of the config log, for writing it again after somebody has written
// over it what cannot be read. ok is false for keys that s does not hold, and for those whose loss changes nothing
// that runs: restart requests and logger levels.
func Restore(s State, key string) (e Entry, ok bool) {
	if name, is := strings.CutPrefix(key, prefixConnector); is {
		if c, ok := s.Connectors[name]; ok {
			return ConnectorEntry(name, c.Config), true
		}
	}
	if name, is := strings.CutPrefix(key, prefixTarget); is {
		if t, ok := s.Targets[name]; ok {
			return TargetEntry(name, t), true
		}
	}
	if name, is := strings.CutPrefix(key, prefixReplay); is {
		if r, ok := s.Replays[name]; ok {
			return ReplayEntry(name, r), true
		}
	}
	if name, is := strings.CutPrefix(key, prefixFile); is {
		if f, ok := s.Files[name]; ok {
			return FileEntry(name, f), true
		}
	}
	if name, is := strings.CutPrefix(key, prefixDeadLetters); is {
		if ops, ok := s.DeadLetters[name]; ok {
			return DeadLetterEntry(name, ops), true
		}
	}
	return Entry{}, false
}

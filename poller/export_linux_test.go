package poller

// OpenEmulated returns the kqueue backend on an emulated kernel, which has user
// events and tells urgent data, or not.
func OpenEmulated(userEvents, urgent bool) (Poller, error) {
	k, err := newEmulated(features{userEvents: userEvents, urgent: urgent})
	if err != nil {
		return nil, err
	}
	return openKqueue(k)
}

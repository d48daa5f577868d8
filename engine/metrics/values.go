package metrics

import "github.com/weirnet/weir/engine"

// values are an engine.Stats under the names that others see. The names stay.
type values struct {
	Accepted     uint64            `json:"accepted_total"`
	Refused      uint64            `json:"refused_total"`
	AcceptErrors uint64            `json:"accept_errors_total"`
	AcceptPauses uint64            `json:"accept_pauses_total"`
	Opened       uint64            `json:"opened_total"`
	Closed       map[string]uint64 `json:"closed_total"` // by reason

	Sessions  int    `json:"sessions"`
	Waiting   int    `json:"sessions_waiting"`
	Handlers  int    `json:"handlers_running"`
	Overloads uint64 `json:"overloads_total"`

	BytesIn       uint64 `json:"bytes_in_total"`
	BytesOut      uint64 `json:"bytes_out_total"`
	Unsent        uint64 `json:"unsent_bytes_total"`
	Queued        int64  `json:"queued_bytes"`
	QueuedAverage int64  `json:"session_queued_bytes_average"`
	QueuedMax     int64  `json:"session_queued_bytes_max"`
	QueuedMaxID   uint64 `json:"session_queued_max_id,string"` // not every reader's numbers have 64 bits

	Loops       int    `json:"loops"`
	Turns       uint64 `json:"turns_total"`
	Parks       uint64 `json:"parks_total"`
	StaleEvents uint64 `json:"stale_events_total"`
	LogDropped  uint64 `json:"log_dropped_total"`

	Allocated int64 `json:"buffer_allocated_bytes_total"`
	InUse     int64 `json:"buffer_in_use_bytes"`
	Peak      int64 `json:"buffer_peak_bytes"`
	Idle      int64 `json:"buffer_idle_bytes"`
	Segments  int64 `json:"buffer_segments"`
	Gets      int64 `json:"buffer_gets_total"`
	Hits      int64 `json:"buffer_hits_total"`
}

func valuesOf(st engine.Stats) values {
	buffers := st.Memory.Buffers
	return values{
		Accepted: st.Accepted, Refused: st.Refused,
		AcceptErrors: st.AcceptErrors, AcceptPauses: st.AcceptPauses,
		Opened: st.Opened, Closed: st.Closed,

		Sessions: st.Sessions, Waiting: st.Waiting, Handlers: st.Handlers, Overloads: st.Overloads,

		BytesIn: st.BytesIn, BytesOut: st.BytesOut, Unsent: st.Unsent, Queued: st.Queued,
		QueuedAverage: st.Memory.QueuedAverage, QueuedMax: st.Memory.QueuedMax, QueuedMaxID: st.Memory.QueuedMaxID,

		Loops: st.Loops, Turns: st.Turns, Parks: st.Parks, StaleEvents: st.StaleEvents,
		LogDropped: st.LogDropped,

		Allocated: buffers.Allocated, InUse: buffers.InUse, Peak: buffers.Peak, Idle: buffers.Idle,
		Segments: buffers.Segments, Gets: buffers.Gets, Hits: buffers.Hits,
	}
}

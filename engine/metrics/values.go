package metrics

import "github.com/weirnet/weir/engine"

// values are an engine.Stats under the names that others see. The names stay.
type values struct {
	Accepted       uint64            `json:"accepted_total"`
	Refused        uint64            `json:"refused_total"`
	RefusedFull    uint64            `json:"refused_full_total"`
	RefusedCrowded uint64            `json:"refused_crowded_total"`
	AcceptErrors   uint64            `json:"accept_errors_total"`
	AcceptPauses   uint64            `json:"accept_pauses_total"`
	AcceptWaits    uint64            `json:"accept_waits_total"`
	Dialled        uint64            `json:"dialled_total"`
	DialErrors     uint64            `json:"dial_errors_total"`
	Adopted        uint64            `json:"adopted_total"`
	Opened         uint64            `json:"opened_total"`
	Closed         map[string]uint64 `json:"closed_total"` // by reason

	Sessions  int    `json:"sessions"`
	Waiting   int    `json:"sessions_waiting"`
	Handlers  int    `json:"handlers_running"`
	Overloads uint64 `json:"overloads_total"`

	BlockedHandlers uint64  `json:"blocked_handlers_total"`
	BlockedLoops    uint64  `json:"blocked_loops_total"`
	OldestHandler   float64 `json:"oldest_handler_seconds"`
	LoopLag         float64 `json:"loop_lag_seconds"`
	Throttled       uint64  `json:"throttled_total"`
	Pings           uint64  `json:"pings_total"`

	Clients int `json:"clients"`

	BytesIn       uint64 `json:"bytes_in_total"`
	BytesOut      uint64 `json:"bytes_out_total"`
	Unsent        uint64 `json:"unsent_bytes_total"`
	Unhandled     uint64 `json:"unhandled_bytes_total"`
	Aborted       uint64 `json:"aborted_total"`
	Queued        int64  `json:"queued_bytes"`
	QueuedAverage int64  `json:"session_queued_bytes_average"`
	QueuedMax     int64  `json:"session_queued_bytes_max"`
	QueuedMaxID   uint64 `json:"session_queued_max_id,string"` // not every reader's numbers have 64 bits

	Cast        uint64 `json:"cast_total"`
	CastRefused uint64 `json:"cast_refused_total"`

	Groups         int    `json:"groups"`
	GroupMembers   int    `json:"group_members"`
	GroupPublished uint64 `json:"group_published_total"`
	GroupDelivered uint64 `json:"group_delivered_total"`
	GroupQueued    int64  `json:"group_queued"`
	GroupDropped   uint64 `json:"group_dropped_total"`
	GroupExpired   uint64 `json:"group_expired_total"`
	GroupUnsent    uint64 `json:"group_unsent_total"`
	GroupClosed    uint64 `json:"group_closed_total"`

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

	MemoryLimit         int64  `json:"memory_limit_bytes"`
	MemoryUse           int64  `json:"memory_use_bytes"`
	MemoryStep          int    `json:"memory_step"`
	MemoryReadStops     uint64 `json:"memory_read_stops_total"`
	MemoryAcceptStops   uint64 `json:"memory_accept_stops_total"`
	MemoryIdleDropped   uint64 `json:"memory_idle_dropped_total"`
	MemoryFattestClosed uint64 `json:"memory_fattest_closed_total"`
	MemoryCollections   uint64 `json:"memory_collections_total"`
}

func valuesOf(st engine.Stats) values {
	buffers := st.Memory.Buffers
	return values{
		Accepted: st.Accepted, Refused: st.Refused,
		RefusedFull: st.RefusedFull, RefusedCrowded: st.RefusedCrowded,
		Clients:      st.Clients,
		AcceptErrors: st.AcceptErrors, AcceptPauses: st.AcceptPauses, AcceptWaits: st.AcceptWaits,
		Dialled: st.Dialled, DialErrors: st.DialErrors, Adopted: st.Adopted,
		Opened: st.Opened, Closed: st.Closed,

		Sessions: st.Sessions, Waiting: st.Waiting, Handlers: st.Handlers, Overloads: st.Overloads,
		BlockedHandlers: st.BlockedHandlers, BlockedLoops: st.BlockedLoops,
		OldestHandler: st.OldestHandler.Seconds(), LoopLag: st.LoopLag.Seconds(),
		Throttled: st.Throttled, Pings: st.Pings,

		BytesIn: st.BytesIn, BytesOut: st.BytesOut, Unsent: st.Unsent, Unhandled: st.Unhandled, Aborted: st.Aborted, Queued: st.Queued,
		QueuedAverage: st.Memory.QueuedAverage, QueuedMax: st.Memory.QueuedMax, QueuedMaxID: st.Memory.QueuedMaxID,

		Cast: st.Cast, CastRefused: st.CastRefused,

		Groups: st.Groups, GroupMembers: st.GroupSent.Members, GroupPublished: st.GroupSent.Published,
		GroupDelivered: st.GroupSent.Delivered, GroupQueued: st.GroupSent.Queued,
		GroupDropped: st.GroupSent.Dropped, GroupExpired: st.GroupSent.Expired,
		GroupUnsent: st.GroupSent.Unsent, GroupClosed: st.GroupSent.Closed,

		Loops: st.Loops, Turns: st.Turns, Parks: st.Parks, StaleEvents: st.StaleEvents,
		LogDropped: st.LogDropped,

		Allocated: buffers.Allocated, InUse: buffers.InUse, Peak: buffers.Peak, Idle: buffers.Idle,
		Segments: buffers.Segments, Gets: buffers.Gets, Hits: buffers.Hits,

		MemoryLimit: st.Memory.Limit, MemoryUse: st.Memory.Use, MemoryStep: int(st.Memory.Step),
		MemoryReadStops: st.Memory.ReadStops, MemoryAcceptStops: st.Memory.AcceptStops, MemoryIdleDropped: st.Memory.IdleDropped,
		MemoryFattestClosed: st.Memory.FattestClosed, MemoryCollections: st.Memory.Collections,
	}
}

//! Every limit in one place, with its source.

use std::time::Duration;

use proto::message::PeerLimits;

/// How long a call to another device waits by default (OpenHarmony `message_option.h`: 8 s).
pub const DEFAULT_WAIT: Duration = Duration::from_secs(8);
/// How long a call may wait at most (OpenHarmony `message_option.cpp`: 3,000 s).
pub const MAX_WAIT: Duration = Duration::from_secs(3000);
/// What raw data adds to the default wait, per MiB begun.
pub const WAIT_PER_RAW_MIB: Duration = Duration::from_secs(1);
/// The largest parcel to another device, in bytes: body and object table (OpenHarmony `buffer_object.h`: 1 MiB).
pub const MAX_REMOTE_PARCEL: usize = 1024 * 1024;
/// The largest parcel between processes of one device, in bytes (OpenHarmony: the binder buffer of 1 MiB - 2 pages).
pub const MAX_LOCAL_PARCEL: usize = 1024 * 1024 - 8 * 1024;
/// How deep a chain of calls may be.
pub const MAX_CALL_DEPTH: u8 = 16;
/// Calls in flight that only handlers may use, for the calls they make.
pub const NESTED_CALLS_RESERVE: u32 = 16;
/// File descriptors of one peer's requests that wait or run. A two-way call with more is refused as busy; of one-way calls,
/// each counts as 8 KiB against the credit of its lane.
pub const DESCRIPTORS_PER_PEER: u32 = 128;
/// File descriptors that came from all processes and are still open; half of it those of another user than ours.
pub const DESCRIPTORS_IN_ALL: u32 = 4096;
/// Death links on one object.
pub const DEATH_LINKS_PER_OBJECT: usize = 64;
/// Death links on one peer's objects.
pub const DEATH_LINKS_PER_PEER: usize = 1024;
/// Services of one system ability manager, and as many that are started on demand (OpenHarmony samgr: 1,000 each).
pub const MAX_SERVICES: usize = 1000;
/// Those of them that processes of one user may register who is not the host's own (ours: so that one leaves room for others).
pub const MAX_SERVICES_OF_ANOTHER_USER: usize = 256;
/// How long a load waits by default, and a start may take (OpenHarmony `base_system_ability_manager.cpp`: 4 s).
pub const LOAD_TIME: Duration = Duration::from_secs(4);
/// Gets, loads and waits of one caller that wait for a service at a time (OpenHarmony samgr: 256 load callbacks of a
/// process).
pub const WAITING_PER_CALLER: usize = 256;
/// Watches of one process (OpenHarmony samgr: 256 subscriptions of a process).
pub const WATCHES: usize = 256;
/// How long a service may take to stop (OpenHarmony `ability_schedule`: 5 s).
pub const UNLOAD_TIME: Duration = Duration::from_secs(5);
/// How much later an owner may have its service unloaded (OpenHarmony `ability_schedule`: 5 minutes).
pub const MAX_UNLOAD_DELAY: Duration = Duration::from_secs(300);
/// Gets and loads of one caller that wait for the end of an unload, to start the service again (OpenHarmony
/// `ability_schedule`: 50 of a process).
pub const LOADS_WHILE_UNLOADING: usize = 50;
/// How often a service that failed or died is started again within [`RESTART_TIME`] (OpenHarmony `ability_schedule`: 4).
pub const RESTARTS: usize = 4;
/// The time in which restarts are counted (OpenHarmony `ability_schedule`: 20 s).
pub const RESTART_TIME: Duration = Duration::from_secs(20);
/// Requests of one object that run or wait.
pub const DEFAULT_QUEUE: usize = 1024;
/// The most requests of one object that may be allowed to run or wait.
pub const MAX_QUEUE: usize = 1 << 18;
/// Bytes of the requests of one object that run or wait: as much as one peer may have arriving.
pub const DEFAULT_BUDGET: usize = 256 * 1024 * 1024;
/// How long one-way calls that have ended may wait to be acknowledged together with others.
pub const ONE_WAY_ACK_DELAY: Duration = Duration::from_millis(20);
/// Threads for blocking handlers (OpenHarmony `ipc_process_skeleton.h`: 16).
pub const BLOCKING_THREADS: usize = 16;
/// The most that number can be raised to (OpenHarmony `ipc_cskeleton.cpp`: 32).
pub const MAX_BLOCKING_THREADS: usize = 32;
/// Stubs of a process that write what is in them at a time, but for those with blocking handlers.
pub const DUMPS: usize = 4;
/// Call lanes by default.
pub const DEFAULT_LANES: u16 = 8;
/// Memory of one peer for bulk bodies that are arriving, in bytes.
pub const BULK_MEMORY_PER_PEER: usize = 256 * 1024 * 1024;
/// Memory of all peers together for bulk bodies that are arriving, in bytes.
pub const BULK_MEMORY_IN_ALL: usize = 512 * 1024 * 1024;
/// Memory that a bus keeps of bulk bodies that have been read, for the next ones, in bytes.
pub const SPARE_MEMORY: usize = 8 * 1024 * 1024;
/// How long a call lane looks for what comes before it sleeps, where that pays: about what waking two processors takes.
pub const BUSY_POLL: Duration = Duration::from_micros(100);
/// Items that the producer of a stream may be ahead of its consumer.
pub const STREAM_ITEMS: u32 = 1024;
/// Bytes that the producer of a stream may be ahead of its consumer, but for the item that passes them.
pub const STREAM_BYTES: u64 = 512 * 1024;
/// The largest item of a stream, in bytes.
pub const MAX_STREAM_ITEM: u64 = 1024 * 1024;
/// Items of a stream that travel in one call, so that credit comes back before all of it is spent.
pub const STREAM_BATCH_ITEMS: u32 = STREAM_ITEMS / 4;
/// A call with items of a stream has this many bytes, and the item that passes them: it stays on its lane.
pub const STREAM_BATCH_BYTES: u64 = 24 * 1024;
/// Streams open with one peer, both directions together.
pub const STREAMS_PER_PEER: usize = 128;
/// How long an opening may take, from the first byte to Welcome.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How long a close waits for what is under way.
pub const DRAIN_TIME: Duration = Duration::from_millis(100);
/// How long a token can be redeemed, and how long it is remembered afterwards.
pub const INTRODUCTION_TIME: Duration = Duration::from_secs(30);
/// Tokens that one device has asked for and nobody has redeemed.
pub const MAX_INTRODUCTIONS_PER_DEVICE: usize = 256;
/// Tokens that nobody has redeemed.
pub const MAX_INTRODUCTIONS: usize = 4096;
/// Tokens remembered after they were used or had expired.
pub const MAX_SPENT_TOKENS: usize = 4096;
/// How long a parcel waits at most for the objects it introduces: half of what is left to its call, and at most this.
pub const REDEEM_TIME: Duration = Duration::from_secs(4);
/// How many devices the introductions of one parcel are redeemed at, or asked of, at a time.
pub const REDEEM_AT_ONCE: usize = 8;
/// Parcels of one session whose introductions are being redeemed; those of more are refused.
pub const MAX_REDEMPTIONS: usize = 64;
/// Wrong tokens that a session may bring within [`WRONG_TOKENS_WINDOW`].
pub const MAX_WRONG_TOKENS: usize = 3;
/// See [`MAX_WRONG_TOKENS`].
pub const WRONG_TOKENS_WINDOW: Duration = Duration::from_secs(10);
/// Calls of one session that wait for their tokens, or behind one that does. One more is refused as busy.
pub const MAX_HELD_BACK: usize = 1024;
/// How long an origin looks at no token of a session that presented too many wrong ones.
pub const WRONG_TOKENS_PENALTY: Duration = Duration::from_secs(10);
/// How long no introduction is taken from a session that made too many wrong ones. Longer than
/// [`WRONG_TOKENS_PENALTY`]: the liar pays more than who believed it.
pub const WRONG_INTRODUCTIONS_PENALTY: Duration = Duration::from_secs(60);

/// Devices that call a process through its host and are told apart by its limits.
pub const MAX_RELAYED_CALLERS: usize = 1024;

/// What we hold for a peer unless told otherwise.
pub const DEFAULT_PEER_LIMITS: PeerLimits = PeerLimits {
    calls_in_flight: 1024,
    objects: 16_384,
    objects_per_parcel: 64,
    one_way_calls: 1000,
    one_way_bytes: 1024 * 1024,
    bulk_streams: 6,
};

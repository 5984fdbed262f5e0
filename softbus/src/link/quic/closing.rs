//! Closing a connection so that the peer hears why.
//!
//! quinn 0.11 holds the packet that closes a connection back like one with data when there is data left to send and the
//! congestion window is full. Nothing opens the window of a closed connection any more, so the packet is never sent, and
//! the peer finds out only from the reset that answers it once we have forgotten the connection. So the window is
//! opened when a connection is closed.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use quinn::{
    Connection, VarInt,
    congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig},
};
use quinn_proto::RttEstimator;

/// Closes a connection with a code and a text.
pub(crate) fn close(connection: &Connection, code: VarInt, text: &[u8]) {
    if let Ok(controller) = connection
        .congestion_state()
        .into_any()
        .downcast::<Closing>()
    {
        controller.closed.store(true, Ordering::Relaxed);
    }
    connection.close(code, text);
}

/// quinn's own controller, until the connection is closed.
pub(super) struct Closing {
    inner: Box<dyn Controller>,
    closed: Arc<AtomicBool>,
}

/// Makes them.
#[derive(Default)]
pub(super) struct ClosingConfig(Arc<CubicConfig>);

impl ControllerFactory for ClosingConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Closing {
            inner: Arc::clone(&self.0).build(now, current_mtu),
            closed: Arc::default(),
        })
    }
}

impl Controller for Closing {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.inner
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.inner
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.closed.load(Ordering::Relaxed) {
            u64::MAX
        } else {
            self.inner.window()
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            inner: self.inner.clone_box(),
            closed: Arc::clone(&self.closed),
        })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

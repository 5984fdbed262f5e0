//! What the bus promises when devices or the network between them fail: to be told, once; to know of each call what became of it, or
//! that one does not know; and to be there again without anybody's doing.
//!
//! Each scenario says of a [`World`] what it needs to be able to do: see [`faults`](crate::world::faults). They ask for no presence, so
//! worlds of links can run them too.

mod absence;
mod clock;
mod interfaces;
mod network;
#[cfg(unix)]
mod strangers;
pub mod tally;

use softbus::{DeathLink, DeathReason, RemoteObject, ServiceId};
use tokio::sync::mpsc;

pub use absence::*;
pub use clock::*;
pub use interfaces::*;
pub use network::*;
#[cfg(unix)]
pub use strangers::*;

use super::{
    Pair, SERVICE_OF_A, SOON, for_all, obituaries, pair,
    workbench::{reverse, workbench},
};
use crate::{
    wait::wait_until_async,
    world::{Device, World},
};

/// A pair, and the proxy that the second has of a service of the first.
async fn both_ways(world: &mut dyn World) -> (Pair, RemoteObject) {
    let pair = pair(world).await;
    let added = pair.a.add(SERVICE_OF_A, &workbench().0, for_all());
    added.unwrap();
    let of_a = pair.b.get(SERVICE_OF_A, &pair.a.id()).await.unwrap();
    (pair, of_a)
}

/// What somebody is told of the death of a proxy.
struct Told {
    reasons: mpsc::UnboundedReceiver<DeathReason>,
    _link: DeathLink,
}

impl Told {
    fn of(proxy: &RemoteObject) -> Self {
        let (tell, reasons) = obituaries();
        Self {
            reasons,
            _link: proxy.link_to_death(tell).unwrap(),
        }
    }

    /// It was told once.
    fn nothing_more(&mut self) {
        let more = self.reasons.try_recv();
        assert!(more.is_err(), "{more:?}");
    }
}

/// Waits until a device can be called again, asking for its service until it is there and answers.
async fn back(device: &dyn Device, service: ServiceId, of: &dyn Device) -> RemoteObject {
    let mut found = None;
    let there = wait_until_async(SOON, async || {
        let Ok(object) = device.get(service, &of.id()).await else {
            return false;
        };
        // It may be of a session that has not been missed yet.
        let answered = reverse(&object, 2019).await.is_ok();
        found = answered.then_some(object);
        answered
    });
    assert!(there.await, "it is not back");
    found.unwrap()
}

/// Calls a macro with the path of each scenario of faults for worlds of nodes, but for those of which only some can have what is in them: an
/// [interface](crate::world::faults::Flaps) of their own, [multicast](crate::world::faults::Multicasts), a
/// [wall clock](crate::world::faults::Clocks).
#[macro_export]
macro_rules! scenarios_of_all_faults {
    ($callback:ident) => {
        $crate::scenarios_of_cuts!($callback);
        $crate::scenarios_of_cuts_and_nodes!($callback);
        $crate::scenarios_of_mutes!($callback);
        $crate::scenarios_of_loss!($callback);
        $crate::scenarios_of_delay!($callback);
        $crate::scenarios_of_bandwidth!($callback);
        $crate::scenarios_of_moves!($callback);
        $crate::scenarios_of_sleep!($callback);
        $crate::scenarios_of_outages!($callback);
        $crate::scenarios_of_strangers!($callback);
        $crate::scenarios_of_names!($callback);
        $crate::scenarios_of_two_networks!($callback);
    };
}

/// Calls a macro with the path of each scenario for worlds that can [cut](crate::world::faults::Cuts) devices off.
#[macro_export]
macro_rules! scenarios_of_cuts {
    ($callback:ident) => {
        $callback! {
            faults::a_partition_is_told_to_both_sides_and_heals,
            faults::a_partition_loses_no_call_silently_and_doubles_none,
            faults::a_cable_that_comes_and_goes_leaves_one_session_that_works,
        }
    };
}

/// The same for worlds of nodes, which find each other again.
#[macro_export]
macro_rules! scenarios_of_cuts_and_nodes {
    ($callback:ident) => {
        $callback! {
            rebinding::a_typed_proxy_outlives_a_cut,
        }
    };
}

/// The same for worlds in which a device [is not heard](crate::world::faults::Mutes).
#[macro_export]
macro_rules! scenarios_of_mutes {
    ($callback:ident) => {
        $callback! {
            faults::who_is_heard_by_nobody_is_missed_and_knows_it,
        }
    };
}

/// The same for worlds that [lose](crate::world::faults::Loses) packets.
#[macro_export]
macro_rules! scenarios_of_loss {
    ($callback:ident) => {
        $callback! {
            faults::a_fifth_lost_costs_no_call,
        }
    };
}

/// The same for worlds that [delay](crate::world::faults::Delays) what is sent.
#[macro_export]
macro_rules! scenarios_of_delay {
    ($callback:ident) => {
        $callback! {
            faults::what_takes_its_time_arrives_whole_and_in_order,
        }
    };
}

/// The same for worlds whose network can be [narrow](crate::world::faults::Narrows).
#[macro_export]
macro_rules! scenarios_of_bandwidth {
    ($callback:ident) => {
        $callback! {
            faults::calls_go_on_beside_a_transfer_on_a_narrow_network,
        }
    };
}

/// The same for worlds whose devices [change their addresses](crate::world::faults::Moves).
#[macro_export]
macro_rules! scenarios_of_moves {
    ($callback:ident) => {
        $callback! {
            faults::an_address_that_changes_under_load_loses_no_call_silently,
        }
    };
}

/// The same for worlds whose devices [sleep](crate::world::faults::Sleeps).
#[macro_export]
macro_rules! scenarios_of_sleep {
    ($callback:ident) => {
        $callback! {
            faults::a_device_that_sleeps_is_missed_and_is_back_when_it_wakes,
            faults::who_never_reads_is_sent_a_bounded_amount_and_harms_nobody,
        }
    };
}

/// The same for worlds whose devices [lose power](crate::world::faults::Outages).
#[macro_export]
macro_rules! scenarios_of_outages {
    ($callback:ident) => {
        $callback! {
            faults::a_device_that_loses_power_is_missed_and_found_again,
        }
    };
}

/// The same for worlds in which there are [strangers](crate::world::faults::Strangers).
#[macro_export]
macro_rules! scenarios_of_strangers {
    ($callback:ident) => {
        $callback! {
            faults::a_stranger_that_floods_hinders_nobody,
        }
    };
}

/// The same for worlds whose devices have [names](crate::world::faults::Names).
#[macro_export]
macro_rules! scenarios_of_names {
    ($callback:ident) => {
        $callback! {
            faults::two_devices_of_one_name_are_told_apart,
        }
    };
}

/// The same for worlds whose devices lose their [interfaces](crate::world::faults::Flaps).
#[macro_export]
macro_rules! scenarios_of_flaps {
    ($callback:ident) => {
        $callback! {
            faults::an_interface_that_comes_and_goes_leaves_one_session_that_works,
            faults::a_device_without_an_interface_is_missed_and_is_back_with_one,
        }
    };
}

/// The same for worlds whose devices can be on [two networks](crate::world::faults::TwoNetworks).
#[macro_export]
macro_rules! scenarios_of_two_networks {
    ($callback:ident) => {
        $callback! {
            faults::a_device_that_loses_one_of_two_networks_is_back_over_the_other,
        }
    };
}

/// The same for worlds whose devices find each other by [multicast](crate::world::faults::Multicasts).
#[macro_export]
macro_rules! scenarios_of_multicast {
    ($callback:ident) => {
        $callback! {
            faults::who_is_known_is_found_without_multicast,
        }
    };
}

/// The same for worlds whose [wall clocks](crate::world::faults::Clocks) can be set.
#[macro_export]
macro_rules! scenarios_of_clocks {
    ($callback:ident) => {
        $callback! {
            faults::a_clock_that_jumps_ends_no_session_and_hinders_no_new_one,
        }
    };
}

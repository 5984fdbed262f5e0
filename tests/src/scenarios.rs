//! What the soft-bus has to do, written once: each function is a scenario for any [`World`].
//!
//! The numbers in their documentation are the rows of the acceptance table, OpenHarmony's contracts.
//! [`scenarios!`](crate::scenarios!) lists those that run everywhere, [`scenarios_on_demand!`](crate::scenarios_on_demand!) and
//! [`scenarios_of_devices!`](crate::scenarios_of_devices!) what is not for processes of one device.

#![expect(clippy::unwrap_used, reason = "a scenario fails its test")]

pub mod calls;
pub mod chains;
pub mod cycles;
pub mod deaths;
pub mod faults;
pub mod introductions;
pub mod loading;
pub mod objects;
pub mod pairing;
pub mod presence;
pub mod protection;
pub mod rebinding;
pub mod services;
pub mod sizes;
pub mod streams;
pub mod waits;
pub mod watching;
pub mod workbench;

use std::{sync::Arc, time::Duration};

use softbus::{DeathReason, DeviceEvent, RemoteObject};
use tokio::sync::{mpsc, watch};

use crate::world::{Device, World};
use workbench::{Bench, workbench};
pub use workbench::{SERVICE, SERVICE_OF_A, for_all};

/// Longer than anything here takes that is not about time.
pub const SOON: Duration = Duration::from_secs(20);

/// Two devices, of which the second has a workbench that the first has a proxy of.
#[derive(Debug)]
pub struct Pair {
    /// The one that calls.
    pub a: Arc<dyn Device>,
    /// The one that is called.
    pub b: Arc<dyn Device>,
    /// The stub, on `b`.
    pub stub: RemoteObject,
    /// What happens to it.
    pub bench: Arc<Bench>,
    /// The proxy, on `a`.
    pub proxy: RemoteObject,
}

/// Two devices with an ordinary workbench.
pub async fn pair(world: &mut dyn World) -> Pair {
    pair_with(world, workbench()).await
}

/// Two devices with this workbench.
pub async fn pair_with(world: &mut dyn World, (stub, bench): (RemoteObject, Arc<Bench>)) -> Pair {
    let (a, b) = (world.device().await, world.device().await);
    b.add(SERVICE, &stub, for_all()).unwrap();
    let proxy = a.get(SERVICE, &b.id()).await.unwrap();
    Pair {
        a,
        b,
        stub,
        bench,
        proxy,
    }
}

/// Waits until a count is reached.
pub async fn reached(count: &watch::Sender<u64>, wanted: u64) {
    let mut count = count.subscribe();
    let reached = tokio::time::timeout(SOON, count.wait_for(|count| *count >= wanted)).await;
    assert!(reached.is_ok(), "waited for {wanted}");
}

/// Waits for a message.
pub async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    let next = tokio::time::timeout(SOON, receiver.recv()).await;
    next.expect("it is told in time").expect("somebody tells")
}

/// A death recipient that tells, and what it tells.
pub fn obituaries() -> (
    impl Fn(DeathReason) + Clone + Send + Sync + 'static,
    mpsc::UnboundedReceiver<DeathReason>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let tell = move |reason| {
        let _ = sender.send(reason);
    };
    (tell, receiver)
}

/// The next event of a device, by when something would have happened.
pub async fn next_event(events: &mut softbus::presence::DeviceEvents) -> DeviceEvent {
    let next = tokio::time::timeout(SOON, events.next()).await;
    next.expect("an event comes in time")
}

/// What a device holds of another: one session, or all zero where there is none.
pub fn usage_of(device: &dyn Device, other: &dyn Device) -> softbus::rpc::session::Usage {
    let mut usage = device
        .usage()
        .into_iter()
        .filter(|(party, _)| *party == other.party());
    let found = usage.next().map(|(_, usage)| usage).unwrap_or_default();
    assert!(usage.next().is_none(), "there is one session with a device");
    found
}

/// Waits until nothing is under way and a device holds of another what it held before.
pub async fn settled(
    device: &dyn Device,
    other: &dyn Device,
    before: softbus::rpc::session::Usage,
) {
    let settled = crate::wait::wait_until_async(SOON, async || usage_of(device, other) == before);
    assert!(
        settled.await,
        "{:?} and not {before:?}",
        usage_of(device, other)
    );
}

/// Prints a figure as a line of JSON, past the test harness's capture, so that it can be collected.
pub fn measured(what: &str, time: Duration) {
    use std::io::Write;
    let line = serde_json::json!({ "measured": what, "ms": time.as_secs_f64() * 1000.0 });
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Calls a macro with the path of each scenario that every world has to pass.
#[macro_export]
macro_rules! scenarios {
    ($callback:ident) => {
        $callback! {
            calls::reverse_int,
            calls::flags_choose_between_waiting_and_not,
            calls::a_call_lasts_as_long_as_its_handler,
            calls::one_way_calls_bring_nothing_back,
            calls::one_way_calls_run_in_order,
            calls::a_flush_waits_until_one_way_calls_have_arrived,
            calls::a_serial_service_does_one_thing_at_a_time,
            calls::a_parcel_can_be_sent_again,
            calls::codes_outside_the_range_are_refused,
            calls::every_stub_answers_a_ping,
            calls::every_stub_says_its_descriptor,
            calls::an_unknown_code_is_an_error,
            calls::the_status_arrives_and_no_reply_with_an_error,
            calls::a_panic_is_an_error_of_one_call,
            calls::a_full_queue_says_busy,
            calls::a_one_way_call_waits_for_room_or_says_busy,
            calls::a_handler_knows_who_calls,
            calls::another_interface_is_a_mismatch,
            waits::a_call_times_out_and_the_proxy_is_usable,
            waits::a_handler_is_dropped_when_its_deadline_passes,
            waits::a_handler_is_dropped_when_its_caller_gives_up,
            waits::a_nested_call_inherits_the_deadline,
            chains::a_handler_calls_back_into_the_caller,
            chains::a_serial_service_is_called_back_in_its_own_chain,
            chains::a_chain_of_calls_ends_at_its_limit,
            sizes::payloads_up_to_one_mebibyte,
            sizes::a_reply_that_is_too_large_is_an_error,
            sizes::raw_data_in_both_directions,
            sizes::a_thousand_calls_leave_nothing_behind,
            sizes::a_thousand_objects_leave_nothing_behind,
            objects::one_stub_is_one_proxy,
            objects::an_own_service_is_the_stub_itself,
            objects::many_who_ask_at_once_get_one_proxy,
            objects::a_stub_lives_while_a_proxy_lives,
            objects::a_vanished_holder_releases_what_it_held,
            objects::a_message_has_room_for_sixty_four_objects,
            objects::appended_objects_arrive,
            objects::a_callback_is_taken_back_with_an_equal_reference,
            objects::callbacks_work_in_both_directions,
            objects::a_proxy_cannot_be_registered,
            objects::a_dead_proxy_is_not_passed,
            streams::a_producer_is_ahead_by_its_credit,
            streams::a_hundred_thousand_items_in_both_directions,
            streams::a_consumer_may_stop,
            streams::a_stream_ends_with_an_error,
            streams::the_end_of_a_session_ends_its_streams,
            streams::items_hold_objects,
            introductions::a_third_device_gets_the_object_from_its_home,
            introductions::an_introduced_service_can_be_watched,
            introductions::who_introduced_may_be_gone,
            introductions::a_reply_introduces,
            introductions::one_way_calls_keep_their_order_behind_an_introduction,
            introductions::a_one_way_call_does_not_overtake_one_that_introduces,
            introductions::an_introduction_that_is_given_up_lets_the_calls_behind_it_go,
            introductions::a_whole_parcel_of_objects_is_introduced,
            deaths::only_proxies_have_recipients,
            deaths::each_recipient_is_told_once,
            deaths::recipients_of_an_object_are_bounded,
            deaths::a_removed_recipient_is_not_told,
            deaths::a_dead_object_is_a_result_and_stays_dead,
            deaths::a_service_that_comes_back_is_a_new_proxy,
            deaths::a_recipient_is_dropped_once_with_what_it_holds,
            deaths::a_panicking_recipient_harms_nobody,
            deaths::a_revoked_stub_dies_everywhere,
            deaths::a_device_that_leaves_takes_its_proxies_along,
            deaths::a_device_that_vanishes_takes_its_proxies_along,
            deaths::a_call_under_way_is_indeterminate_when_its_device_vanishes,
            services::an_absent_service_is_not_found_at_once,
            services::bad_ids_are_no_ids,
            services::ten_proxies_share_a_session,
            services::registering_again_replaces,
            services::an_owner_that_dies_is_unregistered,
            services::removing_what_is_absent_is_an_error,
            services::a_watch_begins_with_what_is_there,
            services::all_ids_are_listed,
            services::after_the_end_of_a_session_the_next_get_makes_another,
            protection::so_many_run_at_a_time,
            protection::services_do_not_hold_each_other_up,
            protection::a_flood_does_not_come_first,
            protection::a_flood_does_not_fill_the_queue,
            protection::a_polite_caller_beside_a_flood,
            protection::a_budget_bounds_the_bytes_inside,
            protection::a_caller_that_calls_too_often_is_busy,
            protection::a_removal_refuses_what_waits_and_lets_end_what_runs,
            protection::a_revocation_refuses_what_waits_and_lets_end_what_runs,
            protection::a_panic_does_not_keep_its_turn,
            loading::only_what_is_loaded_is_unloaded,
            loading::loads_given_up_during_an_unload_do_not_count,
            watching::watches_are_limited,
            watching::a_watch_is_told_of_what_is_started_and_unloaded,
            watching::a_slow_watcher_is_told_of_the_newest,
            watching::a_wait_ends_at_its_deadline,
            watching::waits_of_one_caller_are_limited,
        }
    };
}

/// The scenarios of services that are started on demand, for worlds whose devices start services for one another: an attached
/// process starts its own for itself alone.
#[macro_export]
macro_rules! scenarios_on_demand {
    ($callback:ident) => {
        $callback! {
            loading::a_load_starts_a_service_once,
            loading::a_get_starts_a_service_and_a_check_does_not,
            loading::a_start_that_takes_too_long_is_timed_out,
            loading::a_load_that_fails_says_why,
            loading::loads_of_one_caller_are_limited,
            loading::a_remote_load_ends_with_its_caller,
            loading::an_unload_stops_and_unregisters,
            loading::loads_during_an_unload_are_queued,
            loading::an_unload_later_is_taken_back_by_who_wants_the_service,
            loading::restarts_are_limited,
            loading::a_service_that_dies_is_started_again,
            loading::who_waits_for_a_start_hears_of_its_end,
            watching::a_wait_starts_what_is_started_on_demand,
        }
    };
}

/// The scenarios for worlds of devices, and why they are none for processes of one.
#[macro_export]
macro_rules! scenarios_of_devices {
    ($callback:ident) => {
        $callback! {
            // A rule of a service and the policy name devices, and processes of the same one may call whatever is registered.
            services::a_service_that_is_not_distributed_says_so,
            services::a_registration_is_distributed_only_when_told,
            services::others_see_only_what_they_may_call,
            services::refusals_are_told_apart,
            protection::a_passed_object_may_be_called_by_whom_it_was_passed_to,
            loading::only_distributed_services_are_loaded_from_elsewhere,
            watching::a_stranger_is_refused_alike,
            watching::a_wait_ends_when_the_service_comes,
            introductions::the_policy_of_the_home_decides,
            // Trust is between devices.
            introductions::a_receiver_that_the_home_does_not_trust_is_refused,
            introductions::a_home_that_the_receiver_does_not_trust_is_not_asked,
            // Between processes an object goes home, and from one to the next, whatever its owner marked it.
            objects::a_proxy_does_not_go_back_to_its_origin,
            objects::a_request_with_what_may_not_pass_is_not_sent,
            introductions::an_anonymous_object_is_introduced_only_if_its_owner_lets_it,
            introductions::a_reply_does_not_introduce_what_its_owner_keeps,
            introductions::an_introduced_object_is_a_proxy_of_its_home,
            // Of a process anonymous stubs are watched.
            deaths::an_anonymous_stub_of_another_device_cannot_be_watched,
            // An id stands for one service of a device, wherever it is asked for.
            services::concurrent_gets_share_a_session,
            // The host of a bus holds what is registered with it, and hears of an end a little later.
            objects::a_stub_knows_who_holds_it,
            services::a_thousand_services_and_no_more,
            // Processes of one device do not dial, and a device has one of each service.
            faults::a_crash_loses_no_call_silently_and_doubles_none,
            faults::both_dial_at_once_and_have_one_session,
        }
    };
}

/// The scenarios for worlds of nodes, which find each other and come and go.
#[macro_export]
macro_rules! scenarios_of_nodes {
    ($callback:ident) => {
        $callback! {
            watching::a_remote_watch_follows_its_service,
            watching::a_remote_watch_follows_an_own_service_too,
            watching::calls_of_a_watch_outlive_a_restart_of_the_device,
            watching::waits_do_not_hold_up_a_leave,
            watching::a_wait_outlives_a_restart_of_the_device,
            rebinding::a_typed_proxy_outlives_a_restart_of_the_device,
            rebinding::a_typed_call_is_repeated_only_if_that_does_no_harm,
            rebinding::many_callers_are_bound_again_at_once,
            rebinding::what_cannot_be_bound_again_is_said,
            rebinding::a_rebinding_object_leaves_nothing_behind,
            presence::devices_come_and_go_in_order,
            presence::a_node_that_starts_again_has_its_peers_and_services_again,
            presence::a_graceful_leave_is_told_at_once,
        }
    };
}

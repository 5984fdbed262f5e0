//! Handles of the metrics of calls, by method: registered once, and as many as there may be labels.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use ::metrics::{Counter, Histogram};
use smallvec::SmallVec;

use super::{CALLS, CLIENT_DURATION, SERVER_DURATION, counter, histogram};
use crate::telemetry::{
    CallStatus,
    calls::{End, Method},
    spans::OTHER,
};

/// How many interfaces have labels of their own, at each end.
const INTERFACES: usize = 256;
/// How many methods of each: a stub written by hand may answer any code, and its callers choose.
const METHODS: usize = 64;

#[derive(Clone)]
pub(super) struct Handles {
    pub(super) calls: Counter,
    pub(super) duration: Histogram,
}

type Statuses = SmallVec<[(CallStatus, Handles); 2]>;
type Methods = HashMap<u32, Statuses>;
type Interfaces = HashMap<String, Methods>;

#[derive(Default)]
struct Tables {
    client: Interfaces,
    server: Interfaces,
    other: HashMap<(End, CallStatus), Handles>,
}

static TABLES: RwLock<Option<Tables>> = RwLock::new(None);

/// Where the handles of a call are to be found.
enum Place {
    Known(Handles),
    /// They are to be made; the method has a place in the table, and its own name.
    New,
    /// They are to be made, for all methods that have no place.
    NewOther,
}

/// The handles of a method. They are made and used outside the lock: what records is somebody's code.
pub(super) fn of(end: End, method: &Method, status: CallStatus) -> Handles {
    of_in(&TABLES, end, method, status)
}

fn of_in(
    tables: &RwLock<Option<Tables>>,
    end: End,
    method: &Method,
    status: CallStatus,
) -> Handles {
    let known = {
        let tables = tables.read().unwrap_or_else(PoisonError::into_inner);
        let tables = tables.as_ref();
        tables.and_then(|tables| tables.find(end, method, status).cloned())
    };
    if let Some(handles) = known {
        return handles;
    }
    let write = || tables.write().unwrap_or_else(PoisonError::into_inner);
    let place = write().get_or_insert_default().place(end, method, status);
    match place {
        Place::Known(handles) => handles,
        Place::New => {
            let made = make(end, method.full_name(), status);
            write()
                .get_or_insert_default()
                .keep(end, method, status, &made);
            made
        }
        Place::NewOther => {
            let made = make(end, OTHER.to_owned(), status);
            let mut tables = write();
            let other = &mut tables.get_or_insert_default().other;
            other.entry((end, status)).or_insert_with(|| made.clone());
            made
        }
    }
}

impl Tables {
    fn of_end(&mut self, end: End) -> &mut Interfaces {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }

    fn find(&self, end: End, method: &Method, status: CallStatus) -> Option<&Handles> {
        let interfaces = match end {
            End::Client => &self.client,
            End::Server => &self.server,
        };
        let methods = interfaces.get(method.interface.as_ref())?;
        find(methods.get(&method.code)?, status)
    }

    /// A method that may have its own name gets a place at once, so that no more get one than may.
    fn place(&mut self, end: End, method: &Method, status: CallStatus) -> Place {
        let interfaces = self.of_end(end);
        let interface = method.interface.as_ref();
        let has_place = match interfaces.get(interface) {
            Some(methods) => methods.contains_key(&method.code) || methods.len() < METHODS,
            None => interfaces.len() < INTERFACES,
        };
        // The name of a method that the stub does not have is the caller's choice.
        if !has_place || end == End::Server && status == CallStatus::UnknownMethod {
            let known = self.other.get(&(end, status)).cloned();
            return known.map_or(Place::NewOther, Place::Known);
        }
        let methods = interfaces.entry(interface.to_owned()).or_default();
        let statuses = methods.entry(method.code).or_default();
        find(statuses, status)
            .cloned()
            .map_or(Place::New, Place::Known)
    }

    /// Keeps a copy of what was made for a place, unless another thread was faster.
    fn keep(&mut self, end: End, method: &Method, status: CallStatus, made: &Handles) {
        let methods = self.of_end(end).get_mut(method.interface.as_ref());
        let Some(statuses) = methods.and_then(|methods| methods.get_mut(&method.code)) else {
            return;
        };
        if find(statuses, status).is_none() {
            statuses.push((status, made.clone()));
        }
    }
}

fn find(statuses: &Statuses, status: CallStatus) -> Option<&Handles> {
    let mut statuses = statuses.iter();
    let found = statuses.find(|(known, _)| *known == status);
    found.map(|(_, handles)| handles)
}

fn make(end: End, method: String, status: CallStatus) -> Handles {
    let (name, direction) = match end {
        End::Client => (CLIENT_DURATION, "client"),
        End::Server => (SERVER_DURATION, "server"),
    };
    let status = status.as_str();
    Handles {
        calls: counter!(CALLS, "direction" => direction, "rpc.method" => method.clone(),
            "rpc.response.status_code" => status),
        duration: histogram!(name, "rpc.method" => method, "rpc.response.status_code" => status),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ::metrics::{Gauge, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;

    fn method(interface: &str, code: u32) -> Method {
        Method {
            interface: interface.to_owned().into(),
            service: None,
            code,
        }
    }

    #[test]
    fn a_peer_cannot_make_more_labels_than_there_may_be() {
        let tables = RwLock::new(None);
        let served = |interface: &str, code, status| {
            of_in(&tables, End::Server, &method(interface, code), status);
        };
        for code in 0..10 * METHODS as u32 {
            served("one", code, CallStatus::Ok);
        }
        for interface in 0..2 * INTERFACES {
            served(&interface.to_string(), 1, CallStatus::Ok);
        }
        served("two", 7, CallStatus::UnknownMethod);
        let tables = tables.into_inner().unwrap().unwrap();
        assert_eq!(tables.server["one"].len(), METHODS);
        assert_eq!(tables.server.len(), INTERFACES);
        assert_eq!(tables.other.len(), 2);
        assert!(!tables.server.contains_key("two"));
        let known = tables.find(End::Server, &method("one", 3), CallStatus::Ok);
        assert!(known.is_some());
        let other_end = tables.find(End::Client, &method("one", 3), CallStatus::Ok);
        assert!(other_end.is_none());
    }

    static LOOKED_AT: RwLock<Option<Tables>> = RwLock::new(None);

    /// Fails when it is asked for anything while the tables are locked.
    #[derive(Default)]
    struct Watchful(AtomicUsize);

    impl Watchful {
        fn asked(&self) {
            assert!(LOOKED_AT.try_write().is_ok(), "called under a lock");
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Recorder for Watchful {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            self.asked();
            Counter::noop()
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            self.asked();
            Histogram::noop()
        }
    }

    #[test]
    fn a_recorder_is_asked_once_for_each_handle_and_not_under_the_lock() {
        let recorder = Watchful::default();
        ::metrics::with_local_recorder(&recorder, || {
            for _ in 0..3 {
                for status in [CallStatus::Ok, CallStatus::UnknownMethod] {
                    of_in(&LOOKED_AT, End::Server, &method("one", 1), status);
                }
            }
        });
        // A counter and a histogram each, of the method and of `_OTHER`.
        assert_eq!(recorder.0.into_inner(), 4);
    }
}

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

/// The handles of a method. They are used outside the lock: what records is somebody's code.
pub(super) fn of(end: End, method: &Method, status: CallStatus) -> Handles {
    let known = {
        let tables = TABLES.read().unwrap_or_else(PoisonError::into_inner);
        let tables = tables.as_ref();
        tables.and_then(|tables| find(tables, end, method, status).cloned())
    };
    if let Some(handles) = known {
        return handles;
    }
    let mut tables = TABLES.write().unwrap_or_else(PoisonError::into_inner);
    register(tables.get_or_insert_default(), end, method, status)
}

fn find<'a>(
    tables: &'a Tables,
    end: End,
    method: &Method,
    status: CallStatus,
) -> Option<&'a Handles> {
    let interfaces = match end {
        End::Client => &tables.client,
        End::Server => &tables.server,
    };
    let statuses = interfaces
        .get(method.interface.as_ref())?
        .get(&method.code)?;
    statuses
        .iter()
        .find(|(known, _)| *known == status)
        .map(|(_, handles)| handles)
}

fn register(tables: &mut Tables, end: End, method: &Method, status: CallStatus) -> Handles {
    let interfaces = match end {
        End::Client => &mut tables.client,
        End::Server => &mut tables.server,
    };
    let known = interfaces
        .get(method.interface.as_ref())
        .map(|methods| methods.contains_key(&method.code) || methods.len() < METHODS)
        .unwrap_or(interfaces.len() < INTERFACES);
    // The name of a method that the stub does not have is the caller's choice.
    if !known || end == End::Server && status == CallStatus::UnknownMethod {
        let other = tables.other.entry((end, status));
        return other
            .or_insert_with(|| make(end, OTHER.to_owned(), status))
            .clone();
    }
    let statuses = interfaces
        .entry(method.interface.clone().into_owned())
        .or_default()
        .entry(method.code)
        .or_default();
    if let Some((_, handles)) = statuses.iter().find(|(known, _)| *known == status) {
        return handles.clone();
    }
    let handles = make(end, method.full_name(), status);
    statuses.push((status, handles.clone()));
    handles
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
        let mut tables = Tables::default();
        for code in 0..10 * METHODS as u32 {
            register(
                &mut tables,
                End::Server,
                &method("one", code),
                CallStatus::Ok,
            );
        }
        assert_eq!(tables.server["one"].len(), METHODS);
        for interface in 0..2 * INTERFACES {
            let method = method(&interface.to_string(), 1);
            register(&mut tables, End::Server, &method, CallStatus::Ok);
        }
        assert_eq!(tables.server.len(), INTERFACES);
        assert_eq!(tables.other.len(), 1);
        let unknown = method("two", 7);
        register(
            &mut tables,
            End::Server,
            &unknown,
            CallStatus::UnknownMethod,
        );
        assert!(!tables.server.contains_key("two"));
        let known = find(&tables, End::Server, &method("one", 3), CallStatus::Ok);
        assert!(known.is_some());
        assert!(find(&tables, End::Client, &method("one", 3), CallStatus::Ok).is_none());
    }
}

//! What is counted.

mod bus;
mod handle;
mod parcel;
mod session;

/// One path, ready to be taken again and again.
pub(crate) trait Case {
    /// Takes it once.
    fn round(&mut self);
}

impl<F: FnMut()> Case for F {
    fn round(&mut self) {
        self();
    }
}

type Make = fn() -> Box<dyn Case>;

/// All of them.
pub(crate) const CASES: [(&str, Make); 11] = [
    ("parcel-encode", parcel::encode),
    ("parcel-decode", parcel::decode),
    ("handle", handle::check),
    ("session-call", session::call),
    ("session-one-way", session::one_way),
    ("session-object", session::object),
    ("bus-call", bus::call),
    ("bus-call-default", bus::call_default),
    ("bus-calls-64", bus::calls_together),
    ("bus-one-way-64", bus::one_way_together),
    ("bus-object", bus::object),
];

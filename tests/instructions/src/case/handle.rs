//! The look at a handle with which every function of the C API begins.

// The file itself, which needs nothing else: the library around it would have all of the network built for this.
#[cfg_attr(not(test), expect(dead_code, reason = "a check does not end handles"))]
#[path = "../../../../softbus/capi/src/handle.rs"]
mod handles;

use std::hint::black_box;

use handles::Handles;

use super::Case;

/// As the library has them.
static HANDLES: Handles<(), u32> = Handles::new(1);

/// Of a handle that stands for something.
pub(super) fn check() -> Box<dyn Case> {
    let handle = HANDLES.insert(7);
    Box::new(move || {
        let found = HANDLES.with(black_box(handle), |value| *value);
        debug_assert!(found == Some(7));
        black_box(found);
    })
}

use std::ops::{Deref, DerefMut};

use super::{object::Slot, raw::RawData};

/// What rides along with the data of a parcel. Most parcels carry nothing: that takes one word, because a call moves its
/// parcels about.
#[derive(Clone)]
pub(super) struct Carried(Option<Box<Freight>>);

#[derive(Clone)]
pub(super) struct Freight {
    /// Where the object slots are, ascending; slot *i* is that of object *i*.
    pub(super) slots: Vec<u32>,
    /// An error is an object that arrived and could not be imported.
    pub(super) objects: Vec<Slot>,
    pub(super) raw: Option<RawData>,
}

impl Freight {
    const fn none() -> Self {
        Self {
            slots: Vec::new(),
            objects: Vec::new(),
            raw: None,
        }
    }
}

impl Carried {
    pub(super) const fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn new(slots: Vec<u32>, objects: Vec<Slot>, raw: Option<RawData>) -> Self {
        let nothing = slots.is_empty() && objects.is_empty() && raw.is_none();
        Self((!nothing).then(|| {
            Box::new(Freight {
                slots,
                objects,
                raw,
            })
        }))
    }
}

impl Deref for Carried {
    type Target = Freight;

    fn deref(&self) -> &Freight {
        static NONE: Freight = Freight::none();
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Carried {
    fn deref_mut(&mut self) -> &mut Freight {
        self.0.get_or_insert_with(|| Box::new(Freight::none()))
    }
}

use std::sync::Arc;

use super::{
    Data, MAX_DESCRIPTORS, MAX_OBJECTS, Parcel, PassObjectError, ReadParcelError, WriteParcelError,
};
use crate::{RemoteObject, introduction::IntroductionError, link::Descriptor};

/// Whether the receiver of a parcel, known while it is written, may have an item.
pub(crate) type PassCheck = Arc<dyn Fn(&Item) -> Result<(), PassObjectError> + Send + Sync>;

/// What a slot of a parcel stands for, or why there is nothing where something was written.
pub(crate) type Slot = Result<Item, BrokenObject>;

/// What rides along with the data of a parcel and has a slot there.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Object(RemoteObject),
    Descriptor(Descriptor),
}

impl From<RemoteObject> for Item {
    fn from(object: RemoteObject) -> Self {
        Self::Object(object)
    }
}

/// Why an object that was written did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokenObject {
    /// It could not be passed or imported.
    Null,
    /// Its device did not give it.
    Introduction(IntroductionError),
}

/// What an object slot begins with.
pub(super) const SLOT_MARKER: u32 = 0x534f_4c54;
/// A marker and an index, in bytes.
pub(super) const SLOT_LEN: usize = 8;

/// # Remote objects
///
/// A stub or proxy in a parcel arrives as a proxy, or as the stub itself when it comes home. The parcel keeps what it
/// carries alive. Object data is out of reach of plain reads.
impl Parcel {
    /// Appends a reference to an object: 8 bytes, and at most [`MAX_OBJECTS`] of them.
    ///
    /// Whether the receiver may have the object is asked when the parcel is sent; in a reply, whose receiver is
    /// known, it is asked here. Of a rebinding object the proxy is passed that there is now.
    ///
    /// # Errors
    /// [`WriteParcelError::TooManyObjects`], [`WriteParcelError::Pass`], [`WriteParcelError::CapacityExceeded`];
    /// nothing is written.
    pub fn write_remote_object(&mut self, object: &RemoteObject) -> Result<(), WriteParcelError> {
        let object = object.bound().ok_or(PassObjectError::DeadObject)?;
        self.write_item(object.into())
    }

    /// Appends something and its slot.
    pub(super) fn write_item(&mut self, item: Item) -> Result<(), WriteParcelError> {
        let index = self.carried.objects.len();
        let data = self.room(SLOT_LEN)?;
        let offset = data.len();
        if index >= MAX_OBJECTS {
            return Err(WriteParcelError::TooManyObjects { limit: MAX_OBJECTS });
        }
        if let Some(check) = &self.pass_check {
            check(&item)?;
        }
        self.put(slot(index))?;
        self.carried.slots.push(offset as u32);
        self.carried.objects.push(Ok(item));
        Ok(())
    }

    /// Reads a reference to an object.
    ///
    /// # Errors
    /// [`ReadParcelError::NotAnObject`] or [`ReadParcelError::Truncated`] when none was written here; the cursor
    /// stays. [`ReadParcelError::BrokenObject`] when one was and could not be passed, and
    /// [`ReadParcelError::Introduction`] when it is one of a third device that did not give it to us; the cursor moves
    /// behind it, and the rest of the parcel is readable.
    pub fn read_remote_object(&mut self) -> Result<RemoteObject, ReadParcelError> {
        let object = match self.item_here(ReadParcelError::NotAnObject)? {
            Ok(Item::Object(object)) => Ok(object.clone()),
            Ok(Item::Descriptor(_)) => return Err(ReadParcelError::NotAnObject),
            Err(BrokenObject::Null) => Err(ReadParcelError::BrokenObject),
            Err(BrokenObject::Introduction(reason)) => Err(ReadParcelError::Introduction(*reason)),
        };
        self.skip_item();
        object
    }

    /// What the slot at the cursor stands for; the cursor stays. `absent` when there is none.
    pub(super) fn item_here(&self, absent: ReadParcelError) -> Result<&Slot, ReadParcelError> {
        let index = self
            .carried
            .slots
            .binary_search_by(|&offset| (offset as usize).cmp(&self.read));
        let Ok(index) = index else {
            let left = self.readable_bytes();
            let wanted = SLOT_LEN;
            return Err(if left < SLOT_LEN {
                ReadParcelError::Truncated { wanted, left }
            } else {
                absent
            });
        };
        Ok(&self.carried.objects[index])
    }

    /// Moves the cursor behind the slot it is at.
    pub(super) fn skip_item(&mut self) {
        self.read += SLOT_LEN;
    }

    /// How many objects the parcel carries, broken ones and file descriptors included.
    pub fn object_count(&self) -> usize {
        self.carried.objects.len()
    }

    /// How many of them are file descriptors.
    pub(super) fn descriptor_count(&self) -> usize {
        let objects = self.carried.objects.iter();
        objects
            .filter(|item| matches!(item, Ok(Item::Descriptor(_))))
            .count()
    }

    /// Appends all of another parcel, wherever its cursor is: data, objects and raw data.
    ///
    /// An empty one may be appended, and a received one. A parcel cannot be appended to itself; append a clone.
    ///
    /// # Errors
    /// [`WriteParcelError::TooManyObjects`], [`WriteParcelError::TooManyDescriptors`] or
    /// [`WriteParcelError::SecondRawData`] when both together have more than one parcel may have; [`WriteParcelError::Pass`], [`WriteParcelError::CapacityExceeded`],
    /// [`WriteParcelError::ReadOnly`]. Nothing is written.
    ///
    /// ```
    /// use softbus_rpc::Parcel;
    ///
    /// let mut tail = Parcel::new();
    /// tail.write_string("appended")?;
    /// let mut parcel = Parcel::new();
    /// parcel.write_i32(1)?;
    /// parcel.append(&tail)?;
    ///
    /// assert_eq!(parcel.read_i32()?, 1);
    /// assert_eq!(parcel.read_string()?, "appended");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append(&mut self, other: &Self) -> Result<(), WriteParcelError> {
        let base = self.room(other.data_size())?.len();
        if self.carried.objects.len() + other.carried.objects.len() > MAX_OBJECTS {
            return Err(WriteParcelError::TooManyObjects { limit: MAX_OBJECTS });
        }
        if self.descriptor_count() + other.descriptor_count() > MAX_DESCRIPTORS {
            let limit = MAX_DESCRIPTORS;
            return Err(WriteParcelError::TooManyDescriptors { limit });
        }
        if self.carried.raw.is_some() && other.carried.raw.is_some() {
            return Err(WriteParcelError::SecondRawData);
        }
        if let Some(check) = &self.pass_check {
            other
                .carried
                .objects
                .iter()
                .flatten()
                .try_for_each(|item| check(item))?;
        }
        self.room(other.data_size())?
            .extend_from_slice(other.bytes());
        self.append_objects(base, other);
        if let Some(raw) = &other.carried.raw {
            self.carried.raw = Some(raw.moved_by(base));
        }
        Ok(())
    }

    /// Replaces every object; one that cannot be is named with its place, and the parcel is of no use then.
    pub(crate) fn carry(
        &mut self,
        mut carry: impl FnMut(Item) -> Result<Item, PassObjectError>,
    ) -> Result<(), (usize, PassObjectError)> {
        if self.carried.is_nothing() {
            return Ok(());
        }
        for (index, slot) in self.carried.objects.iter_mut().enumerate() {
            if let Ok(item) = std::mem::replace(slot, Err(BrokenObject::Null)) {
                *slot = Ok(carry(item).map_err(|reason| (index, reason))?);
            }
        }
        Ok(())
    }

    /// Objects are asked about while they are written, because this is a reply and its receiver is known.
    pub(crate) fn set_pass_check(&mut self, check: PassCheck) {
        self.pass_check = Some(check);
    }

    /// The data of `other` has been copied to `base`; its slots name new indexes from here on.
    fn append_objects(&mut self, base: usize, other: &Self) {
        let Data::Written(data) = &mut self.data else {
            return;
        };
        for (&offset, object) in other.carried.slots.iter().zip(&other.carried.objects) {
            let offset = base + offset as usize;
            data[offset..offset + SLOT_LEN].copy_from_slice(&slot(self.carried.objects.len()));
            self.carried.slots.push(offset as u32);
            self.carried.objects.push(object.clone());
        }
    }

    /// Drops every object whose slot does not end before `position`.
    pub(super) fn truncate_objects(&mut self, position: usize) {
        if self.carried.is_nothing() {
            return;
        }
        let kept = self
            .carried
            .slots
            .partition_point(|&offset| offset as usize + SLOT_LEN <= position);
        self.carried.slots.truncate(kept);
        self.carried.objects.truncate(kept);
    }

    /// That `len` bytes at `at` touch no object slot.
    #[cold]
    pub(super) fn check_plain(&self, at: usize, len: usize) -> Result<(), ReadParcelError> {
        let behind = self
            .carried
            .slots
            .partition_point(|&offset| offset as usize + SLOT_LEN <= at);
        match self
            .carried
            .slots
            .get(behind)
            .map(|&offset| offset as usize)
        {
            Some(offset) if offset < at + len => Err(ReadParcelError::ObjectInTheWay { offset }),
            _ => Ok(()),
        }
    }
}

/// The bytes of the slot of object `index`, which is below [`MAX_OBJECTS`].
pub(super) fn slot(index: usize) -> [u8; SLOT_LEN] {
    let mut slot = [0; SLOT_LEN];
    slot[..4].copy_from_slice(&SLOT_MARKER.to_le_bytes());
    slot[4..].copy_from_slice(&(index as u32).to_le_bytes());
    slot
}

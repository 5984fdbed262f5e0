//! A parcel as the body of a message: the data, and behind it a little-endian `u32` for each object that says where
//! its slot is. Which objects they are stands in the header of the message.

use bytes::Bytes;

use super::{
    ALIGN, Data, MAX_INLINE_RAW_DATA, MAX_OBJECTS, MAX_PARCEL_LEN, MAX_RAW_DATA, MalformedParcel,
    Parcel,
    carried::Carried,
    object::{SLOT_LEN, Slot, slot},
    raw::RawData,
};

/// What is sent of a parcel.
#[derive(Debug)]
pub(crate) struct WireParts<'a> {
    /// The first part of the body.
    pub(crate) data: &'a [u8],
    /// The second part of the body: the offsets of the object slots. Empty without objects.
    pub(crate) offsets: Vec<u8>,
    /// What the slots stand for, in their order. An error is one that was broken already.
    pub(crate) objects: &'a [Slot],
    /// What travels beside the body.
    pub(crate) raw: Option<&'a Bytes>,
}

impl Parcel {
    /// Bytes of body and raw data together.
    pub(crate) fn total_size(&self) -> usize {
        let raw = self.carried.raw.as_ref().map_or(0, |raw| raw.bytes.len());
        self.bytes().len() + 4 * self.carried.slots.len() + raw
    }

    /// The parts to send, borrowed: the parcel can be sent again.
    pub(crate) fn wire_parts(&self) -> WireParts<'_> {
        WireParts {
            data: self.bytes(),
            offsets: self
                .carried
                .slots
                .iter()
                .flat_map(|offset| offset.to_le_bytes())
                .collect(),
            objects: &self.carried.objects,
            raw: self.carried.raw.as_ref().map(|raw| &raw.bytes),
        }
    }

    /// A received parcel. The body is kept and not copied.
    pub(crate) fn from_wire(
        mut body: Bytes,
        objects: Vec<Slot>,
        raw: Option<Bytes>,
    ) -> Result<Self, MalformedParcel> {
        if body.len() > MAX_PARCEL_LEN {
            return Err(MalformedParcel("body too long"));
        }
        if objects.len() > MAX_OBJECTS {
            return Err(MalformedParcel("too many objects"));
        }
        let data_len = body
            .len()
            .checked_sub(objects.len() * size_of::<u32>())
            .ok_or(MalformedParcel("table of objects cut off"))?;
        if !data_len.is_multiple_of(ALIGN) {
            return Err(MalformedParcel("data not padded"));
        }
        let slots = if objects.is_empty() {
            Vec::new()
        } else {
            read_slots(&body[..data_len], &body[data_len..])?
        };
        if raw
            .as_ref()
            .is_some_and(|raw| !(MAX_INLINE_RAW_DATA + 1..=MAX_RAW_DATA).contains(&raw.len()))
        {
            return Err(MalformedParcel("size of raw data"));
        }
        body.truncate(data_len);
        let raw = raw.map(|bytes| RawData {
            at: 0,
            place: None,
            bytes,
        });
        Ok(Self {
            data: Data::Received(body),
            carried: Carried::new(slots, objects, raw),
            ..Self::new()
        })
    }
}

/// Reads a table of slot offsets and checks each against the data.
fn read_slots(data: &[u8], table: &[u8]) -> Result<Vec<u32>, MalformedParcel> {
    let mut end = 0;
    let mut slots = Vec::with_capacity(table.len() / size_of::<u32>());
    for (index, offset) in table.as_chunks().0.iter().enumerate() {
        let offset = u32::from_le_bytes(*offset);
        let at = offset as usize;
        if at < end || !at.is_multiple_of(ALIGN) {
            return Err(MalformedParcel("offset of an object"));
        }
        let found = data
            .get(at..)
            .and_then(|rest| rest.first_chunk::<SLOT_LEN>());
        if found != Some(&slot(index)) {
            return Err(MalformedParcel("slot of an object"));
        }
        end = at + SLOT_LEN;
        slots.push(offset);
    }
    Ok(slots)
}

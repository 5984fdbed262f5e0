use std::{fmt, future::poll_fn};

use super::{Type, Types, Value};
use crate::{
    Parcel,
    parcel::ReadParcelError,
    stream::{Incoming, StreamError},
};

/// A stream whose items are [`Value`]s.
pub struct ValueStream {
    types: Types,
    item: Type,
    incoming: Incoming,
}

impl Types {
    /// Reads a stream of items of this type; it is opened at once.
    ///
    /// # Errors
    /// [`ReadParcelError`]: there is none.
    pub fn read_stream(
        &self,
        item: &Type,
        parcel: &mut Parcel,
    ) -> Result<ValueStream, ReadParcelError> {
        Ok(ValueStream {
            types: self.clone(),
            item: item.clone(),
            incoming: Incoming::open(parcel.read_remote_object()?),
        })
    }
}

impl ValueStream {
    /// The next item; `None` after the last one, and after an error. There is no deadline: it waits for as long as the
    /// session lasts.
    ///
    /// # Errors
    /// [`StreamError`]: the stream did not end well.
    pub async fn next(&mut self) -> Option<Result<Value, StreamError>> {
        let Self {
            types,
            item,
            incoming,
        } = self;
        poll_fn(|cx| incoming.poll_item(cx, |parcel| types.read(item, parcel))).await
    }
}

impl fmt::Debug for ValueStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueStream")
            .field("item", &self.item)
            .finish_non_exhaustive()
    }
}

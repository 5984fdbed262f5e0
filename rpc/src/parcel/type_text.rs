//! What a derived type is called: its whole definition, so that two ends with different definitions find out.

use std::{any::TypeId, borrow::Cow, cell::RefCell};

thread_local! {
    /// The derived types that the name being made has come by, in the order of their first mention.
    static MENTIONED: RefCell<Vec<TypeId>> = const { RefCell::new(Vec::new()) };
}

/// The name of a derived type, of which `parts` are the definition. Generated code calls it.
///
/// Where a name mentions a type again, inside its own definition or beside it, stands `#` and how manieth it was: so
/// the name of a type that contains itself ends, and a name is never longer than the definitions it is made of. Types
/// are counted in the order of their first mention, which the definitions decide; so two ends make the same name exactly
/// when all definitions are the same.
pub fn type_text<T: 'static, const N: usize>(
    parts: impl FnOnce() -> [Cow<'static, str>; N],
) -> Cow<'static, str> {
    let id = TypeId::of::<T>();
    let earlier = MENTIONED.with_borrow_mut(|mentioned| {
        let earlier = mentioned.iter().position(|mentioned| *mentioned == id);
        if earlier.is_none() {
            mentioned.push(id);
        }
        earlier.ok_or(mentioned.len() == 1)
    });
    match earlier {
        Ok(number) => format!("#{number}").into(),
        Err(outermost) => {
            let _end = outermost.then(|| End);
            parts().concat().into()
        }
    }
}

/// The outermost name is made, or its making has panicked.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        MENTIONED.take();
    }
}

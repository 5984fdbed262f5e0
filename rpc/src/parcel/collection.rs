//! Typed values that contain many others.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash},
};

use super::{Marshal, Parcel, Parcelable, ReadParcelError, WriteParcelError, vector::FromSequence};

impl<T: Marshal> Marshal for [T] {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        T::marshal_slice(self, parcel)
    }
}

impl<T: Marshal> Marshal for Vec<T> {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        T::marshal_slice(self, parcel)
    }
}

impl<T: Parcelable> Parcelable for Vec<T> {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        T::unmarshal_vec(parcel)
    }

    fn type_name() -> Cow<'static, str> {
        format!("Vec<{}>", T::type_name()).into()
    }
}

/// The elements, without a count.
impl<T: Marshal, const N: usize> Marshal for [T; N] {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        T::marshal_array(self, parcel)
    }
}

impl<T: Parcelable, const N: usize> Parcelable for [T; N] {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        T::unmarshal_array(parcel)
    }

    fn type_name() -> Cow<'static, str> {
        format!("[{}; {N}]", T::type_name()).into()
    }
}

/// Both kinds of map have the same bytes and the same name: a count, then key and value each. Of a key that comes
/// twice the last value stays.
macro_rules! maps {
    ($($map:ident<K: $($bound:path),+ $(; $hasher:ident: $($hasher_bound:path),+)?>, $expected:ident => $empty:expr;)*) => {$(
        impl<K: Marshal, V: Marshal $(, $hasher)?> Marshal for $map<K, V $(, $hasher)?> {
            fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
                parcel.write_sequence(self, |parcel, (key, value)| {
                    key.marshal(parcel)?;
                    value.marshal(parcel)
                })
            }
        }

        impl<K: Parcelable $(+ $bound)+, V: Parcelable $(, $hasher: $($hasher_bound +)+ 'static)?> Parcelable
            for $map<K, V $(, $hasher)?>
        {
            fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
                parcel.read_sequence(<(K, V)>::unmarshal)
            }

            fn type_name() -> Cow<'static, str> {
                format!("Map<{}, {}>", K::type_name(), V::type_name()).into()
            }
        }

        impl<K: $($bound +)+, V $(, $hasher: $($hasher_bound +)+)?> FromSequence<(K, V)>
            for $map<K, V $(, $hasher)?>
        {
            fn empty($expected: usize) -> Self {
                $empty
            }

            fn add(&mut self, (key, value): (K, V)) {
                self.insert(key, value);
            }
        }
    )*};
}

maps! {
    HashMap<K: Eq, Hash; S: BuildHasher, Default>, expected => Self::with_capacity_and_hasher(expected, S::default());
    BTreeMap<K: Ord>, _expected => Self::new();
}

/// Nothing at all, so that a method without a result costs nothing.
impl Marshal for () {
    fn marshal(&self, _: &mut Parcel) -> Result<(), WriteParcelError> {
        Ok(())
    }
}

impl Parcelable for () {
    fn unmarshal(_: &mut Parcel) -> Result<Self, ReadParcelError> {
        Ok(())
    }

    fn type_name() -> Cow<'static, str> {
        "()".into()
    }
}

/// One after the other.
macro_rules! tuples {
    ($(($($name:ident $index:tt),+))*) => {$(
        impl<$($name: Marshal),+> Marshal for ($($name,)+) {
            fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
                $(self.$index.marshal(parcel)?;)+
                Ok(())
            }
        }

        impl<$($name: Parcelable),+> Parcelable for ($($name,)+) {
            fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
                Ok(($($name::unmarshal(parcel)?,)+))
            }

            fn type_name() -> Cow<'static, str> {
                let names = [$($name::type_name()),+];
                format!("({})", names.join(", ")).into()
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

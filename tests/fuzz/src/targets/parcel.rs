//! A body that arrived, read by a script that has nothing to do with what was written.

use std::collections::BTreeMap;

use bytes::Bytes;
use softbus_rpc::{
    Parcel, RemoteObject,
    fuzzing::{a_stub, received},
    parcel::ReadParcelError,
};

use super::Input;

/// Number of reads, of objects, kind of raw data; the reads; and then the body.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (reads, objects, raw) = (input.u8(), input.below(5), input.u8());
    let script = input.bytes(usize::from(reads));
    let Some(parcel) = arrived(input.0, objects, raw) else {
        return;
    };
    let mut read = parcel.clone();
    let mut script = Input(script);
    while !script.is_empty() {
        step(&mut read, &mut script);
    }
    appended(&parcel);
}

/// A received parcel: every second of its objects could not be passed, and up to 64 KiB of raw data came beside it.
pub(super) fn arrived(body: &[u8], objects: usize, raw: u8) -> Option<Parcel> {
    let object = |index| (index % 2 == 0).then(a_stub);
    let objects: Vec<_> = (0..objects).map(object).collect();
    let raw = (raw > 128).then(|| Bytes::from(vec![raw; 33_000 + usize::from(raw)]));
    received(Bytes::copy_from_slice(body), objects, raw).ok()
}

/// Reads something, and checks what every read promises.
fn step(parcel: &mut Parcel, script: &mut Input<'_>) {
    let start = parcel.read_position();
    let read = step_of(parcel, script, 40);
    assert!(parcel.read_position() <= parcel.data_size());
    match read {
        Err(ReadParcelError::BrokenObject) => {}
        Err(_) => assert_eq!(parcel.read_position(), start, "a failed read moves nothing"),
        Ok(()) => assert!(parcel.read_position() >= start),
    }
    assert_eq!(
        parcel.readable_bytes(),
        parcel.data_size() - parcel.read_position()
    );
}

/// Reads one thing or another.
pub(super) fn read(parcel: &mut Parcel, script: &mut Input<'_>) -> Result<(), ReadParcelError> {
    step_of(parcel, script, 38)
}

fn step_of(parcel: &mut Parcel, script: &mut Input<'_>, kinds: u8) -> Result<(), ReadParcelError> {
    match script.u8() % kinds {
        0 => parcel.read_bool().map(drop),
        1 => parcel.read_i8().map(drop),
        2 => parcel.read_i16().map(drop),
        3 => parcel.read_i32().map(drop),
        4 => parcel.read_i64().map(drop),
        5 => parcel.read_u8().map(drop),
        6 => parcel.read_u16().map(drop),
        7 => parcel.read_u64().map(drop),
        8 => parcel.read_f64().map(drop),
        9 => parcel.read_string().map(drop),
        10 => parcel.read_nullable_string().map(drop),
        11 => parcel.read_string16().map(drop),
        12 => parcel.read_c_string().map(drop),
        13 => parcel.read_buffer(script.u8().into()).map(drop),
        14 => parcel
            .read_buffer(usize::MAX - usize::from(script.u8()))
            .map(drop),
        15 => parcel.read_bool_vec().map(drop),
        16 => parcel.read_u8_vec().map(drop),
        17 => parcel.read_i16_vec().map(drop),
        18 => parcel.read_u32_vec().map(drop),
        19 => parcel.read_f64_vec().map(drop),
        20 => parcel.read_string_vec().map(drop),
        21 => parcel.read_string16_vec().map(drop),
        22 => parcel.read_raw_data(script.u8().into()).map(drop),
        23 => parcel
            .read_raw_data(33_000 + usize::from(script.u8()))
            .map(drop),
        24 => parcel.read_remote_object().map(drop),
        25 => parcel.read_interface_token().map(drop),
        26 => parcel.read_exception().map(drop),
        27 => parcel.read_parcelable::<u64>().map(drop),
        28 => parcel.read_parcelable_vec::<String>().map(drop),
        29 => parcel.read::<char>().map(drop),
        30 => parcel.read::<Bytes>().map(drop),
        31 => bounded(parcel, |parcel| parcel.read::<Vec<Vec<u8>>>().map(total)),
        32 => parcel
            .read::<BTreeMap<String, (u8, Option<i64>)>>()
            .map(drop),
        33 => parcel
            .read::<Result<[u16; 3], std::time::Duration>>()
            .map(drop),
        34 => parcel
            .read::<Vec<(Option<RemoteObject>, [u8; 5])>>()
            .map(drop),
        35 => parcel.read::<Vec<()>>().map(drop),
        36 => parcel.read::<Box<Vec<Box<Vec<u8>>>>>().map(drop),
        37 => parcel
            .read::<(u8, Vec<Vec<String>>, Bytes, f32)>()
            .map(drop),
        38 => {
            let to = usize::from(script.u8()) * 4;
            let _ = parcel.rewind_read(to.min(parcel.read_position()));
            Err(ReadParcelError::BrokenObject)
        }
        _ => {
            assert!(
                parcel.write_i32(1).is_err(),
                "what was received is not written"
            );
            assert!(parcel.write_string("").is_err());
            assert!(parcel.rewind_write(0).is_err());
            Ok(())
        }
    }
}

fn total(vectors: Vec<Vec<u8>>) -> usize {
    vectors.iter().map(Vec::len).sum()
}

/// A value takes no more memory than came with the parcel, body and raw data.
fn bounded(
    parcel: &mut Parcel,
    read: impl FnOnce(&mut Parcel) -> Result<usize, ReadParcelError>,
) -> Result<(), ReadParcelError> {
    let came = parcel.data_size() + 33_000 + 256;
    let taken = read(parcel)?;
    assert!(taken <= came, "{taken} bytes made of {came}");
    Ok(())
}

/// What arrived can be passed on, in a parcel that has something in it already.
fn appended(parcel: &Parcel) {
    let mut whole = Parcel::new();
    whole.raise_to_transport_limit();
    whole.write_i32(7).expect("an empty parcel has room");
    if whole.append(parcel).is_ok() {
        assert_eq!(whole.data_size(), 4 + parcel.data_size());
        assert_eq!(whole.object_count(), parcel.object_count());
        assert_eq!(whole.read_i32(), Ok(7));
    }
    whole.rewind_write(4).expect("a position that there is");
    assert_eq!(whole.object_count(), 0);
}

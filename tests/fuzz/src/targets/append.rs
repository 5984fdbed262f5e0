//! A parcel that came, appended to one of ours, and read there by a script.

use softbus_rpc::{Parcel, fuzzing::a_stub, parcel::WriteParcelError};

use super::{
    Input,
    parcel::{arrived, read},
};

/// Number of writes and reads, of objects, kind of raw data; the writes; the reads; and then the body.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (writes, reads) = (input.below(20), input.below(40));
    let (objects, raw) = (input.below(5), input.u8());
    let mut ours = Parcel::new();
    for _ in 0..writes {
        // What does not fit changes nothing.
        let _ = write(&mut ours, &mut input);
    }
    let script = input.bytes(reads * 2);
    let Some(mut theirs) = arrived(input.0, objects, raw) else {
        return;
    };
    let (size, count) = (ours.data_size(), ours.object_count());
    if ours.append(&theirs).is_err() {
        assert_eq!((ours.data_size(), ours.object_count()), (size, count));
        return;
    }
    assert_eq!(ours.data_size(), size + theirs.data_size());
    assert_eq!(ours.object_count(), count + theirs.object_count());
    // From where it begins it reads like the parcel that it was.
    ours.rewind_read(size).expect("there it begins");
    let (mut here, mut there) = (Input(script), Input(script));
    while !here.is_empty() {
        let (appended, alone) = (read(&mut ours, &mut here), read(&mut theirs, &mut there));
        assert_eq!(
            appended.is_ok(),
            alone.is_ok(),
            "{appended:?} and {alone:?}"
        );
        let place = ours.read_position().checked_sub(size);
        assert_eq!(place, Some(theirs.read_position()));
    }
}

fn write(parcel: &mut Parcel, script: &mut Input<'_>) -> Result<(), WriteParcelError> {
    match script.u8() % 7 {
        0 => parcel.write_i32(script.u8().into()),
        1 => parcel.write_u64(script.number()),
        2 => parcel.write_buffer(script.bytes(5)),
        3 => parcel.write_string("text"),
        4 => parcel.write_remote_object(&a_stub()),
        5 => parcel.write_raw_data(vec![7; 33_000]),
        _ => {
            let to = usize::from(script.u8()) * 4;
            parcel.rewind_write(to.min(parcel.data_size()))
        }
    }
}

//! Rows 49 and 50: raw data.

use bytes::Bytes;
use softbus_rpc::{
    Parcel,
    parcel::{
        DEFAULT_CAPACITY, MAX_INLINE_RAW_DATA, MAX_RAW_DATA, ReadParcelError, WriteParcelError,
    },
};

// Row 49.
#[test]
fn raw_data_of_1_byte_to_128_mib_is_accepted() {
    for len in [
        1,
        3,
        32 * 1024,
        32 * 1024 + 1,
        10_000_000,
        100_000_000,
        128 * 1024 * 1024,
    ] {
        let mut parcel = Parcel::new();
        parcel.write_raw_data(vec![9; len]).unwrap();
        parcel.write_i32(1).unwrap();
        let data = parcel.read_raw_data(len).unwrap();
        assert_eq!(data.len(), len);
        assert!(data.first() == Some(&9) && data.last() == Some(&9));
        assert_eq!(parcel.read_i32(), Ok(1));
    }
}

// Row 49.
#[test]
fn raw_data_of_0_and_of_128_mib_and_1_byte_is_refused() {
    for size in [0, MAX_RAW_DATA + 1] {
        let mut parcel = Parcel::new();
        assert_eq!(
            parcel.write_raw_data(vec![0; size]),
            Err(WriteParcelError::RawDataSize {
                size,
                limit: 134_217_728
            })
        );
        assert_eq!(parcel.data_size(), 0);
    }
}

#[test]
fn raw_data_up_to_32_kib_counts() {
    let mut parcel = Parcel::new();
    parcel.write_raw_data(vec![1; MAX_INLINE_RAW_DATA]).unwrap();
    assert_eq!(parcel.data_size(), 4 + MAX_INLINE_RAW_DATA);

    parcel
        .write_buffer(&vec![0; DEFAULT_CAPACITY - parcel.data_size() - 4])
        .unwrap();
    assert!(matches!(
        parcel.write_raw_data(vec![1; 4]),
        Err(WriteParcelError::CapacityExceeded { .. })
    ));
    parcel
        .write_raw_data(vec![1; MAX_INLINE_RAW_DATA + 1])
        .unwrap();
    assert_eq!(parcel.data_size(), DEFAULT_CAPACITY);
}

#[test]
fn large_raw_data_is_not_copied() {
    let data = Bytes::from(vec![1; 1_000_000]);
    let mut parcel = Parcel::new();
    parcel.write_raw_data(data.clone()).unwrap();
    assert_eq!(
        parcel.read_raw_data(1_000_000).unwrap().as_ptr(),
        data.as_ptr()
    );
    parcel.rewind_read(0).unwrap();
    assert_eq!(
        parcel.read_raw_data(1_000_000).unwrap().as_ptr(),
        data.as_ptr()
    );
}

// Row 50.
#[test]
fn wrong_size_of_raw_data_keeps_the_cursor() {
    for len in [100, 40_000] {
        let mut parcel = Parcel::new();
        parcel.write_raw_data(vec![1; len]).unwrap();
        for wrong in [0, len - 1, len + 1, usize::MAX] {
            assert_eq!(
                parcel.read_raw_data(wrong),
                Err(ReadParcelError::RawDataSize {
                    expected: wrong,
                    actual: len
                })
            );
        }
        assert_eq!(parcel.read_raw_data(len).unwrap().len(), len);
    }
}

// Row 50.
#[test]
fn second_large_raw_data_is_refused() {
    let mut parcel = Parcel::new();
    parcel.write_raw_data(vec![1; 40_000]).unwrap();
    let size = parcel.data_size();
    assert_eq!(
        parcel.write_raw_data(vec![2; 40_000]),
        Err(WriteParcelError::SecondRawData)
    );
    assert_eq!(parcel.data_size(), size);

    parcel.write_raw_data(vec![3; 100]).unwrap();
    parcel.write_raw_data(vec![4; 100]).unwrap();
    assert_eq!(parcel.read_raw_data(40_000).unwrap(), vec![1; 40_000]);
    assert_eq!(parcel.read_raw_data(100).unwrap(), vec![3; 100]);
    assert_eq!(parcel.read_raw_data(100).unwrap(), vec![4; 100]);
}

#[test]
fn forged_raw_data_is_refused() {
    let mut parcel = Parcel::new();
    parcel.write_i32(40_000).unwrap();
    assert_eq!(
        parcel.read_raw_data(40_000),
        Err(ReadParcelError::RawDataMissing)
    );
    parcel.write_raw_data(vec![1; 50_000]).unwrap();
    assert_eq!(
        parcel.read_raw_data(40_000),
        Err(ReadParcelError::RawDataSize {
            expected: 40_000,
            actual: 50_000
        })
    );
    parcel.rewind_write(0).unwrap();
    parcel.write_i32(-5).unwrap();
    assert_eq!(
        parcel.read_raw_data(5),
        Err(ReadParcelError::InvalidLength { length: -5 })
    );
    parcel.rewind_write(0).unwrap();
    parcel.write_i32(5).unwrap();
    assert_eq!(
        parcel.read_raw_data(5),
        Err(ReadParcelError::Truncated { wanted: 5, left: 0 })
    );
    assert_eq!(parcel.read_position(), 0);
}

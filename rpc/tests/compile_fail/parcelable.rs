use softbus_rpc::Parcelable;

#[derive(Parcelable)]
union Overlay {
    int: u32,
    float: f32,
}

#[derive(Parcelable)]
struct Borrowed<'a> {
    text: &'a str,
    texts: Vec<&'static str>,
    #[parcelable(skip)]
    skipped: &'static str,
}

#[derive(Parcelable)]
struct Unsendable(
    Box<dyn Send>,
    fn(u32),
    *const u8,
    std::borrow::Cow<'static, str>,
);

#[derive(Parcelable)]
enum Tags {
    First,
    #[parcelable(tag = 0)]
    Again,
    #[parcelable(tag = 3)]
    Three,
    Place,
    #[parcelable(tag = 3000000000)]
    TooLarge,
    #[parcelable(tag = 8, tag = 9)]
    Twice,
    #[parcelable(tag = "9")]
    Text,
}

#[derive(Parcelable)]
enum Discriminants {
    One = 1,
    #[parcelable(tag = 2)]
    Two = 2,
}

#[derive(Parcelable)]
#[parcelable(skip)]
struct WrongPlaces {
    #[parcelable(tag = 1)]
    tagged: u8,
    #[parcelable(rename = "other")]
    renamed: u8,
}

#[derive(Parcelable)]
enum SkippedVariant {
    #[parcelable(skip)]
    Skipped,
}

fn main() {}

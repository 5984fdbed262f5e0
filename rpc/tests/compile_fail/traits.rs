use softbus_rpc::remote_interface;

#[remote_interface]
trait Generic<T> {
    async fn method(&self);
}

#[remote_interface]
unsafe trait Unsafe {
    const SIZE: usize;
    type Item;
    async fn method(&self);
}

#[remote_interface(descriptor = "")]
trait NoName {}

#[remote_interface(name = "org.example.Name")]
trait UnknownOption {}

#[remote_interface(descriptor = "a", descriptor = "b")]
trait Twice {}

#[remote_interface]
struct NoTrait;

fn main() {}

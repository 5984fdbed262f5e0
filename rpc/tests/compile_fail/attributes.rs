use softbus_rpc::remote_interface;

#[remote_interface]
trait Codes {
    async fn first(&self);
    #[code(1)]
    async fn second(&self);
    #[code(0)]
    async fn zero(&self);
    #[code(0x0100_0000)]
    async fn too_large(&self);
    #[code("7")]
    async fn text(&self);
    #[code(7)]
    #[code(8)]
    async fn twice(&self);
}

#[remote_interface]
trait Options {
    #[wait(0)]
    async fn at_once(&self);
    #[wait(5000)]
    async fn forever(&self);
    #[oneway(true)]
    async fn sometimes(&self);
    #[oneway]
    #[idempotent]
    async fn lost(&self);
}

fn main() {}

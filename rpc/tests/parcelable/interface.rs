//! Derived types as arguments and results, and two ends that know different ones.

use softbus_rpc::{Parcelable, SendRequestError, remote_interface};

use crate::types::{Chain, Point, Shape};

#[remote_interface(descriptor = "test.Draw")]
trait Draw {
    async fn moved(&self, shape: Shape, by: &Point) -> Option<Shape>;
    async fn length(&self, chains: &[Chain]) -> Result<Vec<Point>, Shape>;
}

struct Service;

impl Draw for Service {
    async fn moved(&self, shape: Shape, by: &Point) -> Option<Shape> {
        match shape {
            Shape::Line(mut a, b) => {
                a.x += by.x;
                Some(Shape::Line(a, b))
            }
            _ => None,
        }
    }

    async fn length(&self, chains: &[Chain]) -> Result<Vec<Point>, Shape> {
        match chains {
            [] => Err(Shape::Nothing),
            _ => Ok(vec![Point { x: 1, y: 1 }; chains.len()]),
        }
    }
}

/// What a later program has under the same names: one of the types is another.
mod later {
    use super::*;
    use crate::types::Chain;

    #[derive(Clone, Debug, PartialEq, Parcelable)]
    pub(super) enum Shape {
        Nothing,
        Line(Point, Point),
        Circle { center: Point, radius: f32 },
    }

    #[remote_interface(descriptor = "test.Draw")]
    pub(super) trait Draw {
        async fn moved(&self, shape: Shape, by: &Point) -> Option<Shape>;
        async fn length(&self, chains: &[Chain]) -> Result<Vec<Point>, super::Shape>;
    }
}

#[tokio::test]
async fn derived_types_are_arguments_results_and_errors() {
    let draw = DrawStub::new(Service).into_proxy();
    let (a, b) = (Point { x: 1, y: 2 }, Point { x: 3, y: 4 });
    let moved = draw.moved(Shape::Line(a, b.clone()), &b).await;
    assert_eq!(moved, Ok(Some(Shape::Line(Point { x: 4, y: 2 }, b))));
    let length = draw.length(&[Chain::new(3), Chain::new(1)]).await;
    assert_eq!(length, Ok(vec![Point { x: 1, y: 1 }; 2]));
    let error = draw.length(&[]).await.unwrap_err();
    assert_eq!(error.app(), Some(Shape::Nothing));
}

#[tokio::test]
async fn a_changed_type_refuses_the_methods_that_use_it() {
    let object = DrawStub::new(Service).into_object();
    let draw = later::DrawProxy::new(object);
    let refused = draw
        .moved(later::Shape::Nothing, &Point { x: 0, y: 0 })
        .await
        .unwrap_err();
    let mismatch = SendRequestError::InterfaceMismatch;
    assert_eq!(refused.send_error(), Some(&mismatch));
    assert!(draw.length(&[Chain::new(1)]).await.is_ok());
}

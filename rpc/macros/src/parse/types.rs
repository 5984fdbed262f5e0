//! Which types can be arguments and results, as far as their spelling tells.

use syn::{
    GenericArgument, PathArguments, ReturnType, Type, TypeParamBound, TypeReference,
    visit::{self, Visit},
};

use super::{Errors, Output, Owned};

/// The type without what surrounds one that a `macro_rules!` was given as `$t:ty`, or that stands in parentheses.
pub(super) fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => plain(&group.elem),
        Type::Paren(paren) => plain(&paren.elem),
        _ => ty,
    }
}

/// Whether it is `&Caller`.
pub(super) fn is_caller(ty: &Type) -> bool {
    let Type::Reference(TypeReference {
        elem,
        mutability: None,
        ..
    }) = plain(ty)
    else {
        return false;
    };
    last_segment(elem).is_some_and(|segment| segment.ident == "Caller")
}

/// Checks the type of an argument, and says whether it is lent and what the stub reads.
pub(super) fn argument(ty: &Type, errors: &mut Errors) -> (bool, Owned) {
    let Type::Reference(reference) = plain(ty) else {
        check(ty, errors);
        return (false, Owned::Same(ty.clone()));
    };
    if let Some(token) = &reference.mutability {
        let message = "what the callee changes stays with the callee: take the argument by value";
        errors.add(token, message);
    }
    if let Some(lifetime) = &reference.lifetime {
        errors.add(
            lifetime,
            "an argument is lent for the call only: no named lifetimes",
        );
    }
    let owned = match plain(&reference.elem) {
        // `Bytes` is on the wire what a `Vec<u8>` is, and is read without a copy.
        Type::Slice(slice) if is_primitive(&slice.elem, "u8") => Owned::Bytes,
        Type::Slice(slice) => {
            check(&slice.elem, errors);
            Owned::Vec((*slice.elem).clone())
        }
        elem if is_primitive(elem, "str") => Owned::String,
        elem => {
            check(elem, errors);
            Owned::Same(elem.clone())
        }
    };
    (true, owned)
}

/// Checks the type of a result, and finds `T` and `E` in a `Result<T, E>`.
pub(super) fn result(ty: &ReturnType, errors: &mut Errors) -> Output {
    let ReturnType::Type(_, ty) = ty else {
        return Output::Plain(syn::parse_quote!(()));
    };
    check(ty, errors);
    let Some(segment) = last_segment(ty).filter(|segment| segment.ident == "Result") else {
        return Output::Plain((**ty).clone());
    };
    let mut types = Vec::new();
    if let PathArguments::AngleBracketed(args) = &segment.arguments {
        types.extend(args.args.iter().filter_map(|arg| match arg {
            GenericArgument::Type(ty) => Some(ty.clone()),
            _ => None,
        }));
    }
    match <[Type; 2]>::try_from(types) {
        Ok(types) => Output::Result(Box::new(types)),
        Err(_) => Output::Alias((**ty).clone()),
    }
}

/// That a type owns what it holds and can be named by both ends.
fn check(ty: &Type, errors: &mut Errors) {
    Checker { errors }.visit_type(ty);
}

struct Checker<'a> {
    errors: &'a mut Errors,
}

impl Visit<'_> for Checker<'_> {
    fn visit_type(&mut self, ty: &Type) {
        let message = match ty {
            Type::Reference(_) => {
                "references can be arguments, as `&str`, `&[T]` or `&T`, and nothing else: use an owned type"
            }
            Type::ImplTrait(syn::TypeImplTrait { bounds, .. })
            | Type::TraitObject(syn::TypeTraitObject { bounds, .. })
                if is_stream(bounds) =>
            {
                "many values over time are a `Streaming<T>`, as an argument or a result"
            }
            Type::ImplTrait(_) => "`impl Trait` cannot be sent: both ends must know the type",
            Type::TraitObject(_) => {
                "a trait object cannot be sent: pass the `..Proxy` of a remote interface or a `RemoteObject`"
            }
            Type::BareFn(_) => {
                "a function cannot be sent: pass the `..Proxy` of a remote interface for a callback"
            }
            Type::Ptr(_) => "a pointer means nothing to another process",
            Type::Infer(_) => "both ends must know the type",
            Type::Path(path)
                if path
                    .path
                    .segments
                    .first()
                    .is_some_and(|first| first.ident == "Self") =>
            {
                "`Self` cannot be sent: it is another type on each end"
            }
            _ => return visit::visit_type(self, ty),
        };
        self.errors.add(ty, message);
    }

    fn visit_lifetime(&mut self, lifetime: &syn::Lifetime) {
        self.errors
            .add(lifetime, "what is sent cannot borrow: use an owned type");
    }
}

/// Whether one of the bounds is a stream's.
fn is_stream<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> bool {
    bounds.into_iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Stream"),
        _ => false,
    })
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match plain(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn is_primitive(ty: &Type, name: &str) -> bool {
    matches!(plain(ty), Type::Path(path) if path.qself.is_none() && path.path.is_ident(name))
}

//! What a stub tells of its interface: the table that a client without the source reads.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::parse::{Interface, Method};

/// `fn describe` of a stub. Nothing is made before somebody asks.
pub(crate) fn expand(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let Interface {
        methods,
        descriptor,
        ..
    } = interface;
    let methods = methods.iter().map(|method| one(interface, method, rt));
    quote! {
        fn describe(&self) -> ::core::option::Option<#rt::Description> {
            static DESCRIPTION: #rt::LazyLock<#rt::Description> = #rt::LazyLock::new(|| {
                let mut description = #rt::Description::new(#descriptor);
                #(#methods)*
                description
            });
            ::core::option::Option::Some(::core::clone::Clone::clone(&*DESCRIPTION))
        }
    }
}

fn one(interface: &Interface, method: &Method, rt: &TokenStream) -> TokenStream {
    let proxy = &interface.proxy;
    let Method {
        cfgs,
        name,
        args,
        output,
        ..
    } = method;
    let constant = method.constant();
    let arguments = args.iter().map(|arg| {
        let (name, owned) = (arg.name(), arg.owned.tokens(rt));
        quote_spanned!(arg.ty.span()=> .argument::<#owned>(#name))
    });
    let result = output.tokens();
    let one_way = method.one_way.then(|| quote!(.one_way()));
    let idempotent = method.idempotent.then(|| quote!(.idempotent()));
    let wait = method.wait.map(|wait| {
        let (seconds, nanos) = (wait.as_secs(), wait.subsec_nanos());
        quote!(.wait(::core::time::Duration::new(#seconds, #nanos)))
    });
    quote! {
        #(#cfgs)*
        description.methods.push(
            #rt::MethodDescription::new(#proxy::#constant, #name)
                #(#arguments)*
                .returns::<#result>()
                #one_way
                #idempotent
                #wait
        );
    }
}

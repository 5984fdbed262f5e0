//! The client: `EchoProxy`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::{
    allow, fingerprint,
    parse::{Argument, Interface, Method, Output},
};

/// The proxy's type and what it can do. `rt` is where our names are.
pub(crate) fn expand(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let Interface {
        item,
        proxy,
        stub,
        methods,
        ..
    } = interface;
    let (vis, name) = (&item.vis, &item.ident);
    let allow = allow();
    let doc = format!(
        "Calls an object with the interface [`{name}`], wherever it is. Equal proxies call the same object.\n\n\
         A call that is dropped is cancelled."
    );
    let calls = methods.iter().map(|method| call(interface, method, rt));
    let constants = methods.iter().map(|method| constant(interface, method));
    let basics = basics(interface, rt);
    let traits = traits(interface, rt);
    let fingerprint = fingerprint::expand(interface, rt);
    quote! {
        #[doc = #doc]
        #allow
        #[derive(Clone, Debug)]
        #vis struct #proxy {
            object: #rt::RemoteObject,
            option: #rt::CallOption,
        }

        #allow
        impl #proxy {
            #(#constants)*
            #basics
            #(#calls)*
        }

        #fingerprint
        #traits

        #allow
        impl<T: #name> ::core::convert::From<#stub<T>> for #proxy {
            fn from(stub: #stub<T>) -> Self {
                stub.into_proxy()
            }
        }
    }
}

fn constant(interface: &Interface, method: &Method) -> TokenStream {
    let vis = &interface.item.vis;
    let Method {
        cfgs, code, name, ..
    } = method;
    let constant = method.constant();
    let doc = format!("The code of `{name}`.");
    quote! {
        #[doc = #doc]
        #(#cfgs)*
        #vis const #constant: u32 = #code;
    }
}

/// One method.
fn call(interface: &Interface, method: &Method, rt: &TokenStream) -> TokenStream {
    let vis = &interface.item.vis;
    let Method {
        ident,
        carried,
        cfgs,
        args,
        output,
        ..
    } = method;
    let constant = method.constant();
    let doc = (!carried.iter().any(|attr| attr.path().is_ident("doc"))).then(|| {
        let doc = format!("Calls [`{}::{ident}`].", interface.item.ident);
        quote!(#[doc = #doc])
    });
    let params = args
        .iter()
        .map(|Argument { ident, ty, .. }| quote!(#ident: #ty));
    let values = args.iter().map(
        |Argument {
             ident, ty, lent, ..
         }| {
            // What is wrong with a type is said where the type is.
            if *lent {
                quote_spanned!(ty.span()=> .arg(#ident))
            } else {
                quote_spanned!(ty.span()=> .arg(&#ident))
            }
        },
    );
    let way = if method.one_way {
        quote!(one_way)
    } else {
        quote!(two_way)
    };
    let idempotent = method.idempotent.then(|| quote!(.idempotent()));
    let wait = method.wait.map(|wait| {
        let (seconds, nanos) = (wait.as_secs(), wait.subsec_nanos());
        quote!(.wait(::core::time::Duration::new(#seconds, #nanos)))
    });
    let (returns, end) = answer(method.one_way, output, rt);
    quote! {
        #doc
        #(#carried)*
        #(#cfgs)*
        #vis async fn #ident(&self, #(#params),*) -> #returns {
            let request = #rt::Request::#way(self, Self::#constant, self.option) #idempotent #wait #(#values)*;
            #end
        }
    }
}

/// What a call returns, and how a `request` becomes that.
fn answer(one_way: bool, output: &Output, rt: &TokenStream) -> (TokenStream, TokenStream) {
    // That of the body, wherever the type beside it comes from.
    let request = quote!(request);
    match output {
        Output::Plain(_) if one_way => (
            quote!(::core::result::Result<(), #rt::CallError>),
            quote!(request.send().await.map_err(#rt::CallError::Send)),
        ),
        Output::Plain(ty) => (
            quote!(::core::result::Result<#ty, #rt::CallError>),
            quote_spanned!(ty.span()=> #request.call::<#ty>().await.map_err(#rt::CallError::Send)),
        ),
        Output::Result(types) => {
            let [value, error] = &**types;
            let result = quote!(::core::result::Result<#value, #error>);
            (
                quote!(::core::result::Result<#value, #rt::CallError<#error>>),
                quote!(request.call::<#result>().await?.map_err(#rt::CallError::App)),
            )
        }
        Output::Alias(ty) => (
            quote_spanned! {ty.span()=>
                ::core::result::Result<
                    <#ty as #rt::Outcome>::Value,
                    #rt::CallError<<#ty as #rt::Outcome>::Error>,
                >
            },
            quote! {
                #rt::Outcome::into_result(request.call::<#ty>().await?).map_err(#rt::CallError::App)
            },
        ),
    }
}

/// What every proxy has.
fn basics(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let vis = &interface.item.vis;
    quote! {
        /// Calls `object`. Asks nobody: an object with another interface answers the first call that it has.
        #vis fn new(object: #rt::RemoteObject) -> Self {
            Self { object, option: #rt::CallOption::two_way() }
        }

        /// The object that is called.
        #vis fn as_object(&self) -> &#rt::RemoteObject {
            &self.object
        }

        /// The object that is called.
        #vis fn into_object(self) -> #rt::RemoteObject {
            self.object
        }

        /// A proxy of the same object whose calls are made with `option`: how long they may take, whether they may be
        /// repeated, whether one-way calls wait for credit. Which of them are one-way is the interface's to say.
        #[must_use]
        #vis fn with_option(&self, option: #rt::CallOption) -> Self {
            Self { object: ::core::clone::Clone::clone(&self.object), option }
        }

        /// A proxy of the same object whose calls may take this long.
        #[must_use]
        #vis fn wait(&self, wait: ::core::time::Duration) -> Self {
            self.with_option(self.option.wait(wait))
        }
    }
}

/// Conversions, comparison, and what makes a proxy an argument.
fn traits(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let Interface {
        proxy, descriptor, ..
    } = interface;
    let allow = allow();
    let type_name = format!("Remote<{descriptor}>");
    quote! {
        #allow
        impl ::core::convert::From<#rt::RemoteObject> for #proxy {
            fn from(object: #rt::RemoteObject) -> Self {
                Self::new(object)
            }
        }

        #allow
        impl ::core::convert::From<#proxy> for #rt::RemoteObject {
            fn from(proxy: #proxy) -> Self {
                proxy.object
            }
        }

        #allow
        impl ::core::cmp::PartialEq for #proxy {
            fn eq(&self, other: &Self) -> bool {
                self.object == other.object
            }
        }

        #allow
        impl ::core::cmp::Eq for #proxy {}

        #allow
        impl #rt::Marshal for #proxy {
            fn marshal(
                &self,
                parcel: &mut #rt::Parcel,
            ) -> ::core::result::Result<(), #rt::WriteParcelError> {
                #rt::Marshal::marshal(&self.object, parcel)
            }
        }

        #allow
        impl #rt::Parcelable for #proxy {
            fn unmarshal(
                parcel: &mut #rt::Parcel,
            ) -> ::core::result::Result<Self, #rt::ReadParcelError> {
                ::core::result::Result::map(#rt::Parcelable::unmarshal(parcel), Self::new)
            }

            fn type_name() -> #rt::Cow<'static, str> {
                #rt::Cow::Borrowed(#type_name)
            }
        }
    }
}

//! What can be known when a round is over: from the API every delivery with its attempts, from the receiver every request.

use anyhow::Context;
use hyper::{Method, StatusCode};

use super::customer::{Customer, Published};
use super::scenario::{Hook, Scene};
use crate::client::List;
use crate::client::wire::Delivery;
use crate::receiver::{Received, Receiver};

/// One customer's side.
pub struct Testimony {
    pub scene: &'static Scene,
    pub hooks: Vec<(u64, &'static Hook)>,
    pub published: Vec<Published>,
    /// With their attempts.
    pub deliveries: Vec<Delivery>,
    /// Whether the first event, published once more, was answered as a duplicate.
    pub again: Option<bool>,
    /// The answer to a retry of each delivery that is `removed`.
    pub retries_of_removed: Vec<StatusCode>,
}

/// Both sides.
pub struct Evidence {
    pub customers: Vec<Testimony>,
    /// Oldest first.
    pub requests: Vec<Received>,
}

/// Asks the API and the receiver.
///
/// # Errors
/// The API answers otherwise than documented.
pub async fn gather(customers: &mut [Customer], receiver: &Receiver) -> anyhow::Result<Evidence> {
    let mut told = Vec::new();
    for customer in customers {
        told.push(testimony(customer).await.with_context(|| customer.scene.profile)?);
    }
    let mut requests = receiver.requests();
    requests.reverse();
    Ok(Evidence { customers: told, requests })
}

async fn testimony(customer: &mut Customer) -> anyhow::Result<Testimony> {
    let listed: List<Delivery> = customer.client.list("/v1/deliveries?pageSize=200").await?;
    let (mut deliveries, mut retries_of_removed) = (Vec::new(), Vec::new());
    for Delivery { id, .. } in listed.data {
        let delivery: Delivery = customer.client.get(&format!("/v1/deliveries/{id}")).await?;
        if delivery.status == "removed" {
            let retry = customer.client.status_of(Method::POST, &format!("/v1/deliveries/{id}/retry")).await?;
            retries_of_removed.push(retry);
        }
        deliveries.push(delivery);
    }
    Ok(Testimony {
        scene: customer.scene,
        hooks: customer.hooks.clone(),
        published: customer.published.clone(),
        deliveries,
        again: customer.again,
        retries_of_removed,
    })
}

/** A sentence for the owner: what is in the way of the service or the tunnel, and what to do. */
export class ServiceError extends Error {
  override name = 'ServiceError';
}

/** Where the paths of the owner's listener begin. The public listener answers 404 to each. */
export const ownerPaths = ['/open', '/s/', '/owner.css', '/owner.js', '/metrics'] as const;

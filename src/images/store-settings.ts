/** Where images are kept, as settings say it; secrets are none of them. */
export type ImageStoreSettings =
  | { readonly kind: "folder" }
  | {
      readonly kind: "s3";
      /** Null: Amazon's own, by region. */
      readonly endpoint: string | null;
      readonly region: string;
      readonly bucket: string;
      /** Empty, or ends with a slash. */
      readonly prefix: string;
      /** Of chunks kept on the hub's disk, since machines and sites are sent files. */
      readonly cacheBytes: number;
      /** In the form of `~/.aws/credentials`, profile `default`; null: the environment has them. */
      readonly credentialsFile: string | null;
    };
export type S3StoreSettings = Extract<ImageStoreSettings, { kind: "s3" }>;

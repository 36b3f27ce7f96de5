/** Which kernel modules go where, by name; what they depend on comes along. None of them needs a firmware file. */

/** Buses and disks: enough to find the root file system. */
export const DISK_DRIVERS = [
  "virtio_pci",
  "virtio_blk",
  "virtio_scsi",
  "nvme",
  "vmd", // Intel servers hide their NVMe disks behind it
  "ahci",
  "ata_piix",
  "megaraid_sas", // Dell PERC, Broadcom
  "mpt3sas",
  "smartpqi", // HPE, Microchip
  "hpsa",
  "aacraid",
  "vmw_pvscsi",
  "sd_mod",
] as const;

export const USB_DISK_DRIVERS = ["xhci-pci", "ehci-pci", "usb-storage", "uas"] as const;

/** vfat asks for its code page and character set by itself, ext4 for its checksum. */
export const FILE_SYSTEMS = [
  "ext4",
  "crc32c-intel",
  "crc32c_generic",
  "vfat",
  "nls_cp437",
  "nls_ascii",
] as const;

/** Network cards of virtual machines and of the servers that stand at sites. */
export const COMMON_NETWORK_DRIVERS = [
  "virtio_net",
  "vmxnet3",
  "e1000",
  "e1000e",
  "igb",
  "igc",
  "ixgbe",
  "i40e",
  "tg3",
  "bnxt_en",
  "r8169",
] as const;

/** Left out: bnx2, bnx2x, qede, which do nothing without a firmware file. */
export const MORE_NETWORK_DRIVERS = [
  "ice", // without its firmware file in safe mode: one queue, enough to install by
  "mlx4_en",
  "mlx5_core",
  "be2net",
  "atlantic",
  "sfc",
  "ena",
] as const;

/** Entropy for the first TLS handshake on processors without RDRAND. */
export const ENTROPY_DRIVERS = ["virtio-rng"] as const;

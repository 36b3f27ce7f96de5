#!/bin/sh
# Applies a DHCP lease. busybox udhcpc says what happened in $1 and the lease in variables.
case $1 in
  deconfig)
    ip address flush dev "$interface"
    ip link set "$interface" up
    ;;
  bound | renew)
    ip address flush dev "$interface"
    ip address add "$ip/$mask" broadcast + dev "$interface"
    ip link set "$interface" mtu "${mtu:-1500}"
    for address in $router; do
      ip route replace default via "$address" dev "$interface"
      break
    done
    {
      [ -z "$domain" ] || echo "search $domain"
      for address in $dns; do echo "nameserver $address"; done
    } >/run/resolv.conf
    echo "drp: $interface has $ip/$mask"
    ;;
esac

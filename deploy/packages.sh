# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Which Debian 12 packages what needs, and how the missing ones get installed. To be sourced.

# shellcheck disable=SC2034 # used by whoever sources this
{
	PACKAGES_BUILD=(build-essential cmake ninja-build pkg-config clang-14 bpftool
		protobuf-compiler protobuf-c-compiler libbpf-dev libcurl4-openssl-dev libdeflate-dev
		libelf-dev libiberty-dev libjansson-dev liblmdb-dev liblzma-dev libnghttp2-dev
		libprotobuf-c-dev libssl-dev libuv1-dev libyaml-dev libzstd-dev zlib1g-dev
		libcmocka-dev)
	PACKAGES_DEMO=(python3 python3-dev python3-venv postgresql)
	PACKAGES_TEST=(clang-format-14 libdevel-nytprof-perl mandoc musl-tools prometheus prometheus-alertmanager
		redis-server shellcheck zsh)
}

packages_missing() {
	local package
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] ||
			echo "$package"
	done
}

# Runs a command as root: as it is, or with sudo.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "this needs root: run it as root, or install sudo" >&2
		return 1
	fi
}

# Debian makes and starts a database cluster when PostgreSQL is first installed; the demo brings its
# own. The file is read by the package alone, and only one that does not exist yet is written.
packages_no_cluster() {
	local file=/etc/postgresql-common/createcluster.conf
	[ -e "$file" ] && return 0
	as_root mkdir -p "${file%/*}"
	echo "create_main_cluster = false" | as_root tee "$file" >/dev/null
	echo "  wrote $file: no system-wide database cluster is created"
}

# Debian starts what it installs; the tests start their own. /usr/sbin/policy-rc.d is how Debian is told not
# to: it is there while the packages are installed, unless the machine has one of its own.
packages_no_service() {
	[ -e /usr/sbin/policy-rc.d ] && return 0
	printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
	as_root chmod 755 /usr/sbin/policy-rc.d
	packages_policy=/usr/sbin/policy-rc.d
}

# packages_install LOG PACKAGE...: those that are missing, and nothing else.
packages_install() {
	local log=$1 missing packages_policy= status=0
	shift
	mapfile -t missing < <(packages_missing "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "  installing ${missing[*]}"
	case " ${missing[*]} " in
	*" postgresql "*) packages_no_cluster ;;
	esac
	case " ${missing[*]} " in
	*" prometheus"* | *" redis-server "*) packages_no_service ;;
	esac
	as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 sh -c '
		apt-get -q update && apt-get -q -y --no-install-recommends \
			-o Dpkg::Options::=--force-confold install "$@"' sh "${missing[@]}" >"$log" 2>&1 ||
		status=1
	[ -z "$packages_policy" ] || as_root rm -f "$packages_policy"
	[ "$status" -eq 0 ] || {
		tail -5 "$log" >&2
		echo "apt-get could not install them; the whole log: $log" >&2
		return 1
	}
}

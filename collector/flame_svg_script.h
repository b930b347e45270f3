/* SPDX-License-Identifier: Apache-2.0 */
/* What a flame graph carries along to be alive in a browser: zoom, search, what is under the
 * pointer. */
#pragma once

#define FLAME_SVG_STYLE                                                                            \
	"text{font:11px monospace;fill:#222}.t{font-size:15px;font-weight:bold}"                   \
	".n{font-size:13px;fill:#a00}.b{cursor:pointer;fill:#06c}.f{cursor:pointer}"               \
	".f text{pointer-events:none}.f:hover rect{stroke:#000}.m "                                \
	"rect{stroke:#c0f;stroke-width:2}"                                                         \
	".k rect{fill-opacity:.6}.p{opacity:.5}.h rect{fill:#d0f;fill-opacity:1}"

/* Positions come from data-x and data-w (root coordinates, 1200 wide); rows never move. */
#define FLAME_SVG_SCRIPT                                                                           \
	"\n(function(){var W=1200,all=[].slice.call(document.querySelectorAll('.f')),"             \
	"say=document.getElementById('say'),rest=say.textContent,"                                 \
	"hits=document.getElementById('hits');\n"                                                  \
	"function num(g,k){return parseFloat(g.getAttribute('data-'+k))}\n"                        \
	"function name(g){return g.querySelector('title').textContent}\n"                          \
	"function cut(n,c){return n.length<=c?n:c>2?n.slice(0,c-2)+'..':''}\n"                     \
	"function row(g){return parseFloat(g.querySelector('rect').getAttribute('y'))}\n"          \
	"function zoom(x,w,y){var k=W/w;all.forEach(function(g){var a=num(g,'x'),b=num(g,'w'),"    \
	"r=g.querySelector('rect'),t=g.querySelector('text'),e=w*1e-6;"                            \
	"var above=row(g)<y&&a<=x+e&&a+b>=x+w-e,inside=row(g)>=y&&a>=x-e&&a+b<=x+w+e;"             \
	"if(!above&&!inside){g.style.display='none';return}g.style.display='';"                    \
	"var p=above?0:(a-x)*k,q=above?W:b*k;r.setAttribute('x',p);"                               \
	"r.setAttribute('width',Math.max(q-.3,.2));t.setAttribute('x',p+3);"                       \
	"var n=name(g),i=n.lastIndexOf(': ');n=i<0?n:n.slice(0,i);"                                \
	"t.textContent=cut(n,Math.floor((q-4)/7));g.classList.toggle('p',above&&w<W)})}\n"         \
	"function find(s){var sum=0,re;try{re=new RegExp(s,'i')}catch(e){re=null}"                 \
	"var seen=[];all.forEach(function(g){var n=name(g),ok=s&&(re?re.test(n):n.indexOf(s)>=0);" \
	"g.classList.toggle('h',!!ok);if(!ok)return;var a=num(g,'x'),b=num(g,'w');"                \
	"if(!seen.some(function(o){return a>=o[0]-1e-4&&a+b<=o[1]+1e-4})){seen.push([a,a+b]);"     \
	"sum+=b}});hits.textContent=s?(100*sum/W).toFixed(1)+' % match':''}\n"                     \
	"function ask(){var s=prompt('Function, or a regular expression:','');"                    \
	"if(s!==null)find(s)}\n"                                                                   \
	"all.forEach(function(g){g.addEventListener('click',function(){"                           \
	"zoom(num(g,'x'),num(g,'w'),row(g))});"                                                    \
	"g.addEventListener('mouseover',function(){say.textContent=name(g)});"                     \
	"g.addEventListener('mouseout',function(){say.textContent=rest})});\n"                     \
	"document.getElementById('search').addEventListener('click',ask);\n"                       \
	"document.getElementById('reset').addEventListener('click',function(){zoom(0,W,0);"        \
	"find('')});\n"                                                                            \
	"document.addEventListener('keydown',function(e){if(e.key==='/'){e.preventDefault();"      \
	"ask()}if(e.key==='Escape'){zoom(0,W,0);find('')}})})();\n"
